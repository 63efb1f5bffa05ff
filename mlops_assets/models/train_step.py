"""Build of ``trained_model``: the training process, followed into MLflow."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mlops_assets.config import TrainingSettings
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import HISTORY_FILE
from mlops_assets.models.registration import START_INPUT
from mlops_assets.models.tracking import log_summary
from resources.mlflow import Tracking
from resources.mlflow_follow import follow
from resources.steps import Workspace

POLL_SECONDS = 0.5
JOB_FILE, PROGRESS_FILE, ERROR_FILE = "job.json", "progress.jsonl", "error.txt"
# The exit code of a training whose error is in that file; to train again would not help.
ACTIONABLE = 3
# GNU OpenMP's threads spin at a barrier for as long as a busy machine keeps one of them waiting;
# a short spin and then a wait is as fast alone, and several times faster beside other work.
TRAINING_ENV = {"GOMP_SPINCOUNT": "10000"}
Launch = Callable[[Sequence[str]], object]


class TrainingFailed(PlatformError):
    """The training process ended with an error that a person can act on."""


def train_in_process(
    settings: TrainingSettings, work: Workspace, place: Path, tracking: Tracking,
    opened: Callable[[], AbstractContextManager[str]], launch: Launch,
) -> None:
    """Train in a process of its own and fill ``trained_model``.

    ``place`` belongs to this step alone: its checkpoints are there, so that an interrupted
    training goes on when the step runs again, and it is removed at the end. ``opened`` opens the
    MLflow run; ``launch`` runs a command to its end and raises when that fails.

    Raises:
        TrainingFailed: with what the process said.
        MlflowError: MLflow can not be written; the checkpoints are kept.
    """
    place.mkdir(parents=True, exist_ok=True)
    job, progress, out = place / JOB_FILE, place / PROGRESS_FILE, work.out("trained_model")
    for name in (PROGRESS_FILE, ERROR_FILE):
        (place / name).unlink(missing_ok=True)
    asked = settings.model_dump(mode="json")
    job.write_text(json.dumps({
        "settings": asked, "out": str(out), "shards": str(work.read("training_shards")),
        "checkpoints": str(place), "progress": str(progress),
        "start": str(work.read(START_INPUT)) if START_INPUT in work.pins else None,
    }))
    with follow(tracking, opened, asked, progress) as follower:
        ended = threading.Event()
        loader = threading.Thread(target=load_what_comes_next, args=(progress, ended), daemon=True)
        loader.start()
        try:
            launch([sys.executable, "-m", "mlops_assets.models.train_process", str(job)])
        except Exception as error:
            if (said := place / ERROR_FILE).is_file():
                raise TrainingFailed(said.read_text()) from error
            raise
        finally:
            ended.set()
        _summarize(settings, work, tracking.client(), follower.run_id())
    shutil.rmtree(place)


def load_what_comes_next(progress: Path, ended: threading.Event) -> None:
    """Import what evaluation and export need, while this process only waits for the training.

    It begins after the first epoch: before, the training process is busy with imports itself.
    """
    while not progress.is_file():
        if ended.wait(POLL_SECONDS):
            return
    for module in ("onnxruntime", "onnxscript", "torch.export", "mlops_assets.models.export",
                   "mlops_assets.models.evaluation", "mlops_assets.models.charts",
                   "cleanlab.filter"):
        importlib.import_module(module)


def _summarize(settings: TrainingSettings, work: Workspace, client: Any, run_id: str) -> None:
    from mlops_assets.models.charts import draw_curves

    history = json.loads((work.out("trained_model") / HISTORY_FILE).read_bytes())
    summary = work.summary("trained_model")
    summary.values |= {
        "epochs": len(history), "validation_accuracy": history[-1]["accuracy"],
        "loss": history[-1]["loss"], "model": settings.model, "mlflow_run_id": run_id,
    }
    summary.tables["history"] = history
    summary.add_picture("curves", draw_curves(history))
    log_summary(client, run_id, summary, prefix="training")
