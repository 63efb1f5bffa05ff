"""Settings of one service process, all from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.pixels import MAX_PIXELS
from resources.journal import journal_folder

SOURCE_ROOT: Final = Path(__file__).resolve().parent.parent


class ServiceSettings(BaseSettings):
    """``MLOPS_SERVICE_<NAME>`` variables. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_SERVICE_", frozen=True)

    max_body_bytes: int = Field(10_000_000, gt=0)
    max_json_bytes: int = Field(65_536, gt=0, description="bodies of /v1/feedback")
    max_pixels: int = Field(MAX_PIXELS, gt=0, le=MAX_PIXELS, description="width x height")
    max_batch: int = Field(32, gt=0, description="images in one run of the program")
    max_queue: int = Field(256, gt=0, description="images that may wait; more answer 503")
    threads: int = Field(0, ge=0, description="intra-op threads; 0: the process' CPU quota")
    body_timeout: float = Field(15.0, gt=0, description="to receive a whole body")
    answer_timeout: float = Field(10.0, gt=0, description="from a whole body to its answer")


def model_dir() -> Path:
    """``MLOPS_MODEL_DIR``, else ``model/`` beside this package, where a bento carries it."""
    override = os.environ.get("MLOPS_MODEL_DIR")
    return Path(override) if override else SOURCE_ROOT / "model"


def journal_dir() -> Path:
    """``MLOPS_JOURNAL_DIR``, else ``$PLATFORM_HOME/journal``, else ``./.platform/journal``.

    Raises:
        PlatformError: ``PLATFORM_HOME`` is a URL; a journal is appended on a local disk.
    """
    override = os.environ.get("MLOPS_JOURNAL_DIR")
    if override:
        return Path(override)
    home = os.environ.get("PLATFORM_HOME") or ".platform"
    if "://" in home:
        raise PlatformError(
            f"PLATFORM_HOME is {home}, but the journal needs a local folder: set MLOPS_JOURNAL_DIR"
        )
    return journal_folder(Path(home))
