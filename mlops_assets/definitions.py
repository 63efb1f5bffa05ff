"""The one place where assets, checks, resources, sensors and jobs meet."""

import dagster as dg

from mlops_assets.config import load_settings
from mlops_assets.features import assets as features
from mlops_assets.models import assets as models
from mlops_assets.monitoring import assets as monitoring
from mlops_assets.raw import assets as raw
from mlops_assets.releases import assets as releases
from mlops_assets.validated import assets as validated
from resources.platform import Platform
from sensors.drift import JOB_NAME, build_drift_sensor
from sensors.rollout import build_rollout_sensor

settings = load_settings()
assets = dg.load_assets_from_modules([raw, validated, features, models, releases, monitoring])

GROUPS = ("raw", "validated", "features", "models", "releases")

materialize_all = dg.define_asset_job(
    "materialize_all",
    selection=dg.AssetSelection.groups(*GROUPS),
    description="From the source's images to a served model, for one batch.",
)
retrain = dg.define_asset_job(
    JOB_NAME,
    selection=dg.AssetSelection.assets(
        "dataset", "training_shards", "feature_statistics", "trained_model", "model_evaluation",
        "exported_model", "registered_model", "backend_comparison", "model_bento", "rollout",
    ),
    description="From all good batches to a candidate that must pass the gate.",
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

judge_rollout = dg.define_asset_job(
    "judge_rollout",
    selection=dg.AssetSelection.assets("rollout_report"),
    description="The step of a rollout is judged: up, back, or wait.",
)

defs = dg.Definitions(
    assets=assets,
    jobs=[materialize_all, retrain, monitor_hour, monitor, score_folder, judge_rollout],
    schedules=[
        dg.build_schedule_from_partitioned_job(
            monitor_hour, name="hourly_monitoring", minute_of_hour=2,
            description="Compacts the hour that has just ended.",
        )
    ],
    sensors=[
        build_drift_sensor(
            interval_seconds=settings.drift.sensor_seconds,
            cooldown_hours=settings.drift.cooldown_hours,
        ),
        build_rollout_sensor(interval_seconds=settings.rollout.sensor_seconds),
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
    executor=dg.in_process_executor,
)
