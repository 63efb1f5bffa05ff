"""Settings of one service process, all from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from bentos.cpus import cpu_quota
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import bento_folder
from mlops_assets.contracts.pixels import MAX_PIXELS
from resources.journal import journal_folder

SOURCE_ROOT: Final = Path(__file__).resolve().parent.parent


class ServiceSettings(BaseSettings):
    """``MLOPS_SERVICE_<NAME>`` variables. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_SERVICE_", frozen=True)

    workers: int = Field(1, gt=0, description="processes, each with all slots")
    max_body_bytes: int = Field(10_000_000, gt=0)
    max_json_bytes: int = Field(65_536, gt=0, description="bodies of /v1/feedback")
    max_pixels: int = Field(MAX_PIXELS, gt=0, le=MAX_PIXELS, description="width x height")
    max_bundle_bytes: int = Field(64_000_000, gt=0, description="bodies of /v1/predict_batch")
    max_bundle_images: int = Field(1000, gt=0)
    max_batch: int = Field(32, gt=0, description="images in one run of the program")
    max_queue: int = Field(1024, gt=0, description="images that may wait; more answer 503")
    max_wait: float = Field(0.25, gt=0, description="expected wait above which an image is shed")
    lanes: int = Field(2, gt=0, description="batches computed side by side")
    threads: int = Field(0, ge=0, description="threads of one batch; 0: a share of the CPU quota")
    deterministic: bool = Field(
        False, description="an image's probabilities are the same bytes in any batch; slower")
    body_timeout: float = Field(15.0, gt=0, description="to receive a whole head; a whole body")
    answer_timeout: float = Field(10.0, gt=0, description="from a whole body to its answer")
    follow: Path | None = Field(None, description="file of the rollout's state; None: own model")
    follow_seconds: float = Field(0.5, gt=0, description="between looks at that file")
    slot: Literal["champion", "challenger"] | None = Field(
        None, description="the only slot that answers here, where the edge routes; None: by weight")
    parent: int = Field(0, ge=0, description=(
        "process id of the server, without which its workers end; 0: whoever started them"))
    shadow_share: float = Field(1.0, ge=0, le=1, description="of requests that a shadow sees")
    anew_share: float = Field(0.1, ge=0, le=1, description=(
        "of known images, computed once more while a newer model is judged"))
    cache_entries: int = Field(4096, ge=0, description="answers kept in process; 0: none")
    redis_url: SecretStr | None = Field(None, description="also keep answers and limits there")
    cache_seconds: int = Field(3600, gt=0, description="how long Redis keeps an answer")
    keep_images: bool = Field(True, description="off: no bytes of a request are ever written")
    keep_share: float = Field(0.01, ge=0, le=1, description="of all images, at random")
    keep_below: float = Field(0.6, ge=0, le=1, description="confidence below which it is kept")
    keep_novel: bool = Field(True, description="images unlike the reference are kept")
    keep_days: float = Field(30.0, gt=0)
    keep_bytes: int = Field(2_000_000_000, gt=0, description="of all kept images together")
    receipt_images: bool = Field(
        True, description="receipts name the nearest training images, with their file names")
    log_requests: Literal["problems", "all", "off"] = "problems"
    traces: HttpUrl | None = Field(
        None, description="OpenTelemetry collector, as http://host:4318/v1/traces; None: no spans")
    traces_share: float = Field(0.01, ge=0, le=1, description="of requests that begin no trace")

    @property
    def lane_threads(self) -> int:
        """Threads of one batch: as set, else the CPU quota over the lanes."""
        return self.threads or max(1, cpu_quota() // self.lanes)

    @property
    def tracing(self) -> dict[str, Any]:
        """BentoML's settings of spans."""
        if self.traces is None:
            return {"excluded_urls": "v1/"}
        return {"exporter_type": "otlp", "sample_rate": self.traces_share,
                "otlp": {"protocol": "http", "endpoint": str(self.traces)}}


def model_dir() -> Path:
    """``MLOPS_MODEL_DIR``, else ``model/`` beside this package, where a bento carries it."""
    override = os.environ.get("MLOPS_MODEL_DIR")
    return Path(override) if override else SOURCE_ROOT / "model"


def bento_model_dir(bento_tag: str) -> Path:
    """Model folder of a bento in BentoML's store (``BENTOML_HOME``, else ``~/bentoml``)."""
    home = os.environ.get("BENTOML_HOME")
    store = Path(home) if home else Path.home() / "bentoml"
    return bento_folder(store, bento_tag) / "src" / "model"


def platform_home() -> Path:
    """``PLATFORM_HOME``, else ``./.platform``.

    Raises:
        PlatformError: it is a URL; journal and images are written on a local disk.
    """
    home = os.environ.get("PLATFORM_HOME") or ".platform"
    if "://" in home:
        raise PlatformError(
            f"PLATFORM_HOME is {home}, but the service needs a local folder: set MLOPS_JOURNAL_DIR"
        )
    return Path(home)


def store_home() -> Path | None:
    """The platform's home where its artifacts can be read from here, else None."""
    try:
        home = platform_home()
    except PlatformError:
        return None
    return home if (home / "store").is_dir() else None


def journal_dir() -> Path:
    """``MLOPS_JOURNAL_DIR``, else ``journal/`` in the platform's home.

    Raises:
        PlatformError: see ``platform_home``.
    """
    override = os.environ.get("MLOPS_JOURNAL_DIR")
    return Path(override) if override else journal_folder(platform_home())


def images_dir() -> Path:
    """Where images of requests are kept: ``requests/`` beside the journal."""
    return journal_dir().parent / "requests"
