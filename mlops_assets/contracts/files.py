"""Names of files that one part writes and another reads, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# In artifacts, by asset.
HISTORY_FILE: Final = "history.json"  # trained_model
EVALUATION_FILE: Final = "evaluation.json"  # model_evaluation
REGISTRATION_FILE: Final = "registration.json"  # registered_model
BENTO_FILE: Final = "bento.json"  # model_bento
PREDICTIONS_FILE: Final = "predictions.parquet"  # prediction_log
LABELS_FILE: Final = "labels.parquet"  # feedback_labels

# Below the platform home.
BENTOML_FOLDER: Final = "bentoml"
REQUESTS_FOLDER: Final = "requests"  # images of requests that are kept, by SHA-256
# On a run: the batch that it makes of a folder of the landing zone.
LANDING_TAG: Final = "mlops/landing"
ALERT_TOKEN_FILE: Final = "run/alert-token"  # noqa: S105 - by which Alertmanager is known
SERVING_FILE: Final = "serving/state.json"  # a `RolloutState`, which services follow


def bento_folder(bentoml_home: Path, tag: str) -> Path:
    """Where BentoML keeps the bento ``name:version``."""
    name, _, version = tag.partition(":")
    return bentoml_home / "bentos" / name / version


def request_image(folder: Path, sha256: str) -> Path:
    """Where the image of a request is kept below ``REQUESTS_FOLDER``."""
    return folder / sha256[:2] / sha256
