"""Typed settings: ``configs/*.yaml``, then a profile, then ``MLOPS__SECTION__KEY`` variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mlops_assets.contracts.backends import BackendName
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.pixels import PixelSpec

PROJECT_ROOT: Final = Path(__file__).resolve().parent.parent
PROFILE_VARIABLE: Final = "MLOPS_PROFILE"
CONFIG_VARIABLE: Final = "MLOPS_CONFIG_DIR"
HOME_VARIABLE: Final = "PLATFORM_HOME"


class ConfigError(PlatformError):
    """A setting is wrong; the message says which, where and why, in one line."""


class Section(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitShares(Section):
    """Shares of the images that are hashed to validation and test; the rest is training."""

    validation: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training(self) -> SplitShares:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave a share for training")
        return self


class TableColumns(Section):
    """Columns of a table of images; an empty ``split`` says that there is none."""

    path: str = "path"
    label: str = "label"
    split: str = ""


class DatasetSettings(Section):
    """Where images come from and what shape they are given."""

    source: Literal["torchvision", "image_folder", "table"] = "torchvision"
    name: Literal["FashionMNIST", "MNIST", "CIFAR10"] = "FashionMNIST"
    root: str = Field("data", min_length=1, description="a path, a URL, a .zip or .tar file")
    table: str = Field("labels.csv", description="below root; .csv or .parquet")
    columns: TableColumns = TableColumns()
    max_classes: int = Field(10_000, ge=2, description="more are taken for a mistake")
    batch: str = Field("initial", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    limit: int | None = Field(None, gt=0, description="most images of the official training part")
    classes: tuple[str, ...] | None = Field(None, min_length=2, description="None: the source's")
    pixels: PixelSpec = PixelSpec(height=28, width=28, channels=1)
    split: SplitShares = SplitShares()

    @property
    def path(self) -> Path:
        """``root`` on a disk, absolute; a relative one is taken from the project's folder."""
        return PROJECT_ROOT / self.root


class IssueLimits(Section):
    """When a good image is odd enough to be shown; see ``validated/issues.py``."""

    dark: float = Field(0.32, ge=0, le=1, description="grey that 99 % of it lies below")
    bright: float = Field(0.95, ge=0, le=1, description="grey that 95 % of it lies above")
    entropy: float = Field(1.0, ge=0, le=8, description="bits of its grey levels")
    sharpness: float = Field(0.06, ge=0, description="deviation of edges over that of grey")
    aspect: float = Field(0.35, ge=0, le=1, description="short side over long side")
    near_rms: float = Field(6.0, ge=0, description="grey levels between thumbnails of equal hash")


class ValidationSettings(Section):
    """Limits of the image inspection and of the blocking checks."""

    min_side: int = Field(8, gt=0)
    max_pixels: int = Field(50_000_000, gt=0)
    blank_std: float = Field(1.0, ge=0, description="standard deviation of pixels, 0-255")
    max_quarantined_share: float = Field(0.05, ge=0, le=1)
    near_duplicate_rms: float = Field(2.0, ge=0, description="grey levels between thumbnails")
    min_images_per_class: int = Field(5, ge=1)
    max_class_ratio: float = Field(100.0, ge=1)
    max_batch_distance: float = Field(0.5, ge=0, le=1, description="of one batch from the others")
    issues: IssueLimits = IssueLimits()


class FeatureSettings(Section):
    """The fixed backbone whose embeddings do not change when the model does."""

    backbone: str = "test_byobnet"
    pretrained: bool = False
    batch_size: int = Field(512, gt=0)
    shards_gib: float = Field(16.0, ge=0, description="decoded pixels beyond stay encoded")


class TrainingSettings(Section):
    """One training run. ``model`` is any timm architecture; ``model_args`` go to it as they are."""

    model: str = "resnet18"
    model_args: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool = False
    input_size: int | None = Field(None, gt=0, description="side the program enlarges to")
    epochs: int = Field(12, gt=0)
    batch_size: int = Field(128, gt=1)
    accumulate: int = Field(1, ge=1)
    optimizer: str = "adamw"
    learning_rate: float = Field(0.004, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    scheduler: str = "cosine"
    warmup_share: float = Field(0.2, ge=0, lt=1)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    ema_decay: float = Field(0.998, ge=0, lt=1)
    feedback_weight: float = Field(
        2.0, ge=1, description="how often images from production are in an epoch; others are once")
    warm_start: bool = Field(True, description="with images from production: from the champion")
    warm_rate: float = Field(0.3, gt=0, le=1, description="of the learning rate, in that case")
    flip: bool = True
    shift: int = Field(2, ge=0, description="largest random translation, in pixels")
    erase: float = Field(0.0, ge=0, le=1, description="share of batches with random erasing")
    early_stop_epochs: int | None = Field(None, gt=0)
    checkpoint_epochs: int = Field(1, gt=0)
    checkpoint_steps: int = Field(1000, gt=0, description="also within an epoch, after so many")
    seed: int = Field(0, ge=0)
    threads: int = Field(2, gt=0, description="of each process")
    processes: int = Field(1, gt=0, description="that share every batch, as on several GPUs")
    nodes: int = Field(1, gt=0, description="of Kubernetes, each with so many processes")
    device: Literal["cpu", "cuda", "auto"] = "auto"
    amp: Literal["off", "bf16"] = "off"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = True


class GateSettings(Section):
    """What a candidate must show before it may serve."""

    min_accuracy: float = Field(0.5, ge=0, lt=1, description="and above the largest class")
    alpha: float = Field(0.05, gt=0, lt=1)
    slice_margin: float = Field(0.02, ge=0, le=1)
    min_slice_rows: int = Field(100, gt=0)
    bootstrap_rounds: int = Field(1000, ge=100)
    max_parity_error: float = Field(1e-4, gt=0)


class DriftSettings(Section):
    """Windows that are compared with the reference, and the budget for false alarms.

    ``alpha`` is the chance that a model is ever called drifted while nothing drifts. ``min_window``
    and ``max_window`` are of the single look that a small reference allows, where it is a report's.
    """

    window_rows: int = Field(200, ge=20, description="predictions the trigger judges at a time")
    min_window: int = Field(100, gt=0)
    max_window: int = Field(2000, gt=0)
    alpha: float = Field(0.01, gt=0, lt=1)
    watch_alpha: float = Field(0.05, gt=0, lt=1)
    label_alpha: float = Field(0.01, gt=0, lt=1, description="chance that labels ever cry wolf")
    label_tolerance: float = Field(0.02, ge=0, lt=1, description="rise of the error that is borne")
    harmless_drop: float = Field(0.02, ge=0, lt=1, description="of accuracy, below which: look")
    retrain_drop: float = Field(0.05, gt=0, lt=1, description="of accuracy, from which: retrain")
    min_labels: int = Field(500, gt=0, description="labelled images that a retraining needs")
    max_labels: int = Field(20_000, gt=0, description="newest labelled images that it takes")
    cooldown_hours: float = Field(24.0, ge=0)
    budget_a_week: int = Field(3, gt=0, description="retrainings; then a person decides")
    sensor_seconds: int = Field(10, gt=0)
    monitor_seconds: int = Field(120, gt=0, description="between looks at new predictions")


class FreshnessSettings(Section):
    """How old the latest materialization may be before Dagster shows the asset as late, in hours.

    It warns at half of that.
    """

    raw_images: float = Field(24.0 * 45, gt=0)
    prediction_log: float = Field(3.0, gt=0)


class LandingSettings(Section):
    """A landing zone, whose folders become batches; see ``resources/landing.py``."""

    root: str = Field("", description="a path or a URL; empty: none")
    quiet_seconds: float = Field(300.0, ge=0, description="without a change: complete")
    late_hours: float = Field(168.0, gt=0, description="for which later files make a batch")
    sensor_seconds: int = Field(60, gt=0)


class ScoringSettings(Section):
    """Folders of images that `batch_predictions` scores; a partition is a folder below `root`."""

    root: str = Field("data/scoring", min_length=1, description="a folder or an fsspec URL")
    batch_size: int = Field(64, gt=0)
    chunk_images: int = Field(4096, gt=0, description="after how many progress is kept")
    threads: int = Field(0, ge=0, description="0: every core this process may use")


class ComputeSettings(Section):
    """Who validates, embeds and scores, who executes steps, and what a training's pod is given."""

    engine: Literal["local", "ray"] = "local"
    address: str = Field("auto", min_length=1, description="of the Ray cluster, as for `ray.init`")
    executor: Literal["in_process", "k8s_job"] = "in_process"
    steps: int = Field(4, gt=0, description="pods of one run at a time")
    training_image: str = Field("", description="empty: that of the other steps")
    training_cpu: str = "4"
    training_memory: str = "8Gi"
    shared_memory: str = Field("2Gi", description="of the training's processes")
    gpus: int = Field(0, ge=0, description="of the training")
    gpu_resource: str = "nvidia.com/gpu"
    tolerations: tuple[dict[str, Any], ...] = ()
    node_labels: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="values that a label of the training's node may have")


class ExportSettings(Section):
    """Forms of the exported program, and the backends that a release compares."""

    backends: tuple[BackendName, ...] = (
        "onnxruntime", "onnxruntime-batched", "onnxruntime-int8", "openvino", "openvino-bf16",
        "openvino-int8", "torch", "aotinductor", "onnxruntime-cuda", "onnxruntime-tensorrt",
    )
    int8: bool = True
    calibration_rows: int = Field(512, ge=32)
    measure_seconds: float = Field(10.0, gt=0, description="of timing, all backends together")


class ReleaseSettings(Section):
    """Names under which models are registered and served, and what may run them."""

    precision: Literal["exact", "reduced"] = "exact"
    model_name: str = Field("classifier", pattern=r"^[a-z0-9][a-z0-9-]*$")
    experiment: str = "mlops-assets"


class RolloutSettings(Section):
    """How a challenger is judged while it serves beside the champion.

    Margins are differences of rates, challenger minus champion: of requests that fail, of answers
    slower than ``slow_ms``, of labelled answers that are wrong.
    """

    automatic: bool = Field(False, description="a new bento begins as shadow and is judged")
    sensor_seconds: int = Field(10, gt=0)
    alpha: float = Field(0.05, gt=0, lt=1, description="chance of ever deciding wrongly")
    failed_margin: float = Field(0.005, ge=0, lt=1)
    slow_margin: float = Field(0.02, ge=0, lt=1)
    wrong_margin: float = Field(0.02, ge=0, lt=1)
    slow_ms: float = Field(250.0, gt=0)
    step_seconds: float = Field(600.0, ge=0, description="that each step lasts at least")
    step_answers: int = Field(100, ge=0, description="of the newer model, at each step at least")


class PlatformSettings(Section):
    """Loopback ports of the one-machine platform; 0 takes a free one."""

    host: str = "127.0.0.1"
    dagster_port: int = Field(3000, ge=0, le=65535)
    code_port: int = Field(3001, ge=0, le=65535)
    mlflow_port: int = Field(5000, ge=0, le=65535)
    service_port: int = Field(8000, ge=0, le=65535)
    console_port: int = Field(8080, ge=0, le=65535)
    prometheus_port: int = Field(9090, ge=0, le=65535)
    alertmanager_port: int = Field(9093, ge=0, le=65535)
    node_port: int = Field(0, ge=0, le=65535, description="of node_exporter; 0: a free one")
    dagster_view: bool = Field(
        False, description="Dagster's pages, to look at, behind the console's sessions")
    mlflow_view: bool = Field(
        False, description="MLflow's pages, to look at, behind the console's sessions")
    dagster_view_port: int = Field(3002, ge=0, le=65535)
    monitoring: bool = Field(True, description="Prometheus and Alertmanager, where there are any")
    scrape_seconds: float = Field(15.0, ge=0.5, description="between two looks of Prometheus")
    alarm_scale: float = Field(1.0, gt=0, description="of every time in the alert rules")
    receivers: str = Field("", description="a file of further receivers of alerts; empty: none")
    node_exporter: str = Field(
        "", description="host:port of one that runs already; empty: one of the platform's own")
    service_auth: Literal["on", "off"] = "on"
    keep_share: float = Field(0.01, ge=0, le=1, description="of requests' images, for labelling")
    start_seconds: float = Field(120.0, gt=0)


class Settings(BaseSettings):
    """Every setting of the platform, frozen."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="MLOPS__", env_nested_delimiter="__",
        env_parse_none_str="null",
    )
    layers: ClassVar[dict[str, Any]] = {}

    profile: str = "default"
    home: Path = Path(".platform")
    dataset: DatasetSettings = DatasetSettings()
    validation: ValidationSettings = ValidationSettings()
    features: FeatureSettings = FeatureSettings()
    training: TrainingSettings = TrainingSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    landing: LandingSettings = LandingSettings()
    scoring: ScoringSettings = ScoringSettings()
    compute: ComputeSettings = ComputeSettings()
    export: ExportSettings = ExportSettings()
    release: ReleaseSettings = ReleaseSettings()
    rollout: RolloutSettings = RolloutSettings()
    platform: PlatformSettings = PlatformSettings()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the YAML layers, which come in as init arguments."""
        return (env_settings, init_settings)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path} must hold keys and values, not a {type(loaded).__name__}")
    return loaded


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        nested = isinstance(below, dict) and isinstance(value, dict) and key != "model_args"
        merged[key] = _merge(below, value) if nested and isinstance(below, dict) else value
    return merged


def _explain(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key `{key}`; see configs/ for the keys there are"
    return f"{where}: `{key}`: {first['msg']} (got {first.get('input')!r})"


def load_settings(profile: str | None = None, *, config_dir: Path | None = None) -> Settings:
    """Read the settings of one profile.

    Each ``configs/<section>.yaml`` gives a section; ``configs/profiles/<profile>.yaml`` lies over
    them; environment variables such as ``MLOPS__TRAINING__EPOCHS=3`` lie over both.

    Raises:
        ConfigError: a missing file, an unknown key, or a value that does not fit.
    """
    folder = config_dir or Path(os.environ.get(CONFIG_VARIABLE, PROJECT_ROOT / "configs"))
    name = profile or os.environ.get(PROFILE_VARIABLE, "default")
    layers: dict[str, Any] = {path.stem: _read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
    profile_path = folder / "profiles" / f"{name}.yaml"
    if not profile_path.is_file():
        known = ", ".join(sorted(path.stem for path in profile_path.parent.glob("*.yaml")))
        raise ConfigError(f"there is no profile `{name}` in {profile_path.parent}; known: {known}")
    layers = _merge(layers, _read_yaml(profile_path))
    home = Path(os.environ.get(HOME_VARIABLE, PROJECT_ROOT / ".platform")).absolute()
    try:
        return Settings(**{**layers, "profile": name, "home": home})
    except ValidationError as error:
        where = f"configs in {folder} with profile `{name}`"
        raise ConfigError(_explain(error, where)) from error
