"""Follows a training into MLflow while it runs, from a thread beside it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from resources.mlflow import MlflowError, Tracking

POLL_SECONDS: Final = 0.5


class Follower(threading.Thread):
    """Opens an MLflow run, sends each line of ``progress`` to it, and closes it.

    Opening takes seconds (MLflow is imported), in which the training process starts as well.
    A line's ``epoch`` is the step; its other numbers are metrics.
    """

    def __init__(
        self, tracking: Tracking, opened: Callable[[], AbstractContextManager[str]],
        params: Mapping[str, Any], progress: Path,
    ) -> None:
        super().__init__(name="mlflow-follower", daemon=True)
        self._tracking, self._opened, self._params = tracking, opened, params
        self._progress = progress
        self._ending, self._ready = threading.Event(), threading.Event()
        self._failed = False
        self._run_id: str | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Body of the thread."""
        try:
            with self._opened() as run_id:
                client = self._tracking.client()
                log_params(client, run_id, self._params)
                self._run_id = run_id
                self._ready.set()
                sent = 0
                while True:
                    ending = self._ending.wait(POLL_SECONDS)
                    sent += self._send(client, run_id, sent)
                    if ending:
                        break
                self._check()
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()

    def _check(self) -> None:
        """Raise inside the MLflow run, so that it is marked as failed."""
        if self._failed:
            raise MlflowError("the training failed")

    def _send(self, client: Any, run_id: str, sent: int) -> int:
        try:
            lines = self._progress.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        whole = [line for line in lines if line.endswith("\n")][sent:]
        for line in whole:
            log_epoch(client, run_id, json.loads(line))
        return len(whole)

    def run_id(self) -> str:
        """The MLflow run, when it is open.

        Raises:
            MlflowError: it could not be opened, or a line could not be sent.
        """
        self._ready.wait()
        if self._error is not None or self._run_id is None:
            raise MlflowError(f"MLflow at {self._tracking.uri}: {self._error}") from self._error
        return self._run_id

    def end(self, *, failed: bool) -> None:
        """Send what is left and close the run."""
        self._failed = failed
        self._ending.set()
        self.join()


@contextmanager
def follow(
    tracking: Tracking, opened: Callable[[], AbstractContextManager[str]],
    params: Mapping[str, Any], progress: Path,
) -> Iterator[Follower]:
    """A follower for as long as the block runs; the MLflow run fails when the block does.

    Raises:
        MlflowError: MLflow could not be written; the block itself has succeeded.
    """
    follower = Follower(tracking, opened, params, progress)
    follower.start()
    failed = True
    try:
        yield follower
        failed = False
    finally:
        follower.end(failed=failed)
    follower.run_id()


def log_params(client: Any, run_id: str, values: Mapping[str, Any]) -> None:
    """Log settings as parameters (text, at most 500 characters each)."""
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, str(value)[:500]) for key, value in values.items()])


def log_epoch(client: Any, run_id: str, row: Mapping[str, float]) -> None:
    """Log the numbers of one epoch, at step ``row["epoch"]``, in one request."""
    from mlflow.entities import Metric

    now, step = int(time.time() * 1000), int(row["epoch"])
    metrics = [Metric(key, float(value), now, step) for key, value in row.items() if key != "epoch"]
    client.log_batch(run_id, metrics=metrics)
