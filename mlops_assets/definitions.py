"""The one place where assets, checks, resources, sensors and jobs meet."""

from functools import partial

import dagster as dg

from mlops_assets.config import PROJECT_ROOT, load_settings
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.rollout import served_version
from mlops_assets.executors import choose_executor
from mlops_assets.features import assets as features
from mlops_assets.models import assets as models
from mlops_assets.monitoring import assets as monitoring
from mlops_assets.present import BATCHES
from mlops_assets.raw import assets as raw
from mlops_assets.releases import assets as releases
from mlops_assets.validated import assets as validated
from resources.forgotten import forgotten_version
from resources.journal import journal_folder
from resources.journal_growth import grown
from resources.landing import look
from resources.metrics import publish_freshness
from resources.platform import Platform
from sensors.drift import JOB_NAME, build_drift_sensor
from sensors.forgotten import JOB_NAME as REBUILD
from sensors.forgotten import build_forget_sensor
from sensors.freshness import build_freshness_sensor
from sensors.journal import build_journal_sensor
from sensors.landing import JOB_NAME as INGEST
from sensors.landing import build_landing_sensor
from sensors.rollout import build_rollout_sensor

settings = load_settings()
assets = dg.load_assets_from_modules([raw, validated, features, models, releases, monitoring])

GROUPS = ("raw", "validated", "features", "models", "releases")

materialize_all = dg.define_asset_job(
    "materialize_all",
    selection=dg.AssetSelection.groups(*GROUPS),
    description="From the source's images to a served model, for one batch.",
)
CANDIDATE = dg.AssetSelection.assets(
    "dataset", "training_shards", "feature_statistics", "trained_model", "model_evaluation",
    "exported_model", "registered_model", "backend_comparison", "model_bento", "rollout",
)
retrain = dg.define_asset_job(
    JOB_NAME,
    selection=CANDIDATE | dg.AssetSelection.assets(
        "raw_images", "validated_images", "quarantined_images", "embeddings",
        "image_features"),
    description="From a new batch and all good ones to a candidate that must pass the gate.",
)
ingest = dg.define_asset_job(
    INGEST,
    selection=dg.AssetSelection.assets(
        "raw_images", "validated_images", "quarantined_images", "embeddings",
        "image_features"),
    description="A folder of the landing zone becomes a batch; a candidate follows by itself.",
)
monitor_hour = dg.define_asset_job(
    "monitor_hour",
    selection=dg.AssetSelection.groups("monitoring")
    - dg.AssetSelection.assets("batch_predictions", "rollout_report"),
    description="Predictions and late labels of one hour, and the reports that read them.",
)
monitor = dg.define_asset_job(
    "monitor",
    selection=dg.AssetSelection.assets("drift_report", "performance_report"),
    description="Drift and accuracy over the latest predictions.",
)
score_folder = dg.define_asset_job(
    "score_folder",
    selection=dg.AssetSelection.assets("batch_predictions"),
    description="Every image of one folder, by the serving model.",
)

rebuild = dg.define_asset_job(
    REBUILD,
    selection=CANDIDATE,
    description="From the batches that there are to a candidate, such as without an image.",
)
judge_rollout = dg.define_asset_job(
    "judge_rollout",
    selection=dg.AssetSelection.assets("rollout_report"),
    description="The step of a rollout is judged: up, back, or wait.",
)

defs = dg.Definitions(
    assets=assets,
    jobs=[
        materialize_all, ingest, retrain, rebuild, monitor_hour, monitor, score_folder,
        judge_rollout,
    ],
    schedules=[
        dg.build_schedule_from_partitioned_job(
            monitor_hour, name="hourly_monitoring", minute_of_hour=2,
            description="Compacts the hour that has just ended.",
        )
    ],
    sensors=[
        build_drift_sensor(
            partial(served_version, settings.home / SERVING_FILE),
            interval_seconds=settings.drift.sensor_seconds,
            cooldown_hours=settings.drift.cooldown_hours,
            budget_a_week=settings.drift.budget_a_week,
        ),
        build_landing_sensor(
            partial(look, settings.landing, settings.home, PROJECT_ROOT, settings.dataset),
            partitions=BATCHES,
            interval_seconds=settings.landing.sensor_seconds,
        ),
        build_journal_sensor(
            partial(grown, journal_folder(settings.home)),
            interval_seconds=settings.drift.monitor_seconds,
        ),
        build_rollout_sensor(interval_seconds=settings.rollout.sensor_seconds),
        build_forget_sensor(partial(forgotten_version, settings.home), interval_seconds=30),
        build_freshness_sensor(
            [spec.key for each in assets if isinstance(each, dg.AssetsDefinition)
             for spec in each.specs if spec.freshness_policy is not None],
            partial(publish_freshness, settings.home), interval_seconds=60,
        ),
        dg.AutomationConditionSensorDefinition(
            "changed_bytes", target=dg.AssetSelection.all(), minimum_interval_seconds=30,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Materializes what stands on changed bytes.",
        ),
    ],
    resources={
        "platform": Platform(profile=settings.profile, home=str(settings.home)),
        "pipes": dg.PipesSubprocessClient(),
    },
    executor=choose_executor(settings.compute, settings.training.nodes),
)
