"""The process that trains: ``python -m mlops_assets.models.train_process JOB``.

On several nodes it runs on each, with ``--rendezvous HOST:PORT --address HOST --node INDEX``. With
``--parent PID`` it ends when that process does.

``JOB`` is a JSON file: ``settings`` (TrainingSettings), ``shards``, ``out``, ``checkpoints``,
``progress`` (paths) and ``start`` (the model to go on from, or null). Each epoch appends one JSON
line to ``progress``; under Dagster Pipes it is also logged there. An error that a person can act on
is left in ``error.txt`` beside the job. Training has a process of its own so that torch's memory
and threads end with it, and so that a killed training takes nothing else along.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from mlops_assets.config import TrainingSettings
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.models.distributed import Group, Node, joined, launch
from mlops_assets.models.ending import end_when_interrupted, end_with
from mlops_assets.models.train_step import ACTIONABLE, ERROR_FILE
from mlops_assets.models.training import ALONE, Epoch, pick_device, train


def run_job(job: Path, say: Callable[[str], None], group: Group = ALONE) -> None:
    """Train what a job file asks for; ``say`` is given one line an epoch."""
    asked = json.loads(job.read_bytes())
    settings = TrainingSettings.model_validate(asked["settings"])
    progress = Path(asked["progress"])

    def report(epoch: Epoch, seconds: float) -> None:
        with progress.open("a") as file:
            file.write(json.dumps({**asdict(epoch), "seconds": seconds}) + "\n")
        say(f"epoch {epoch.epoch}/{settings.epochs} loss {epoch.loss:.3f} "
            f"accuracy {epoch.accuracy:.4f} ({seconds:.1f} s)")

    start = Path(asked["start"]) if asked.get("start") else None
    train(settings, Path(asked["shards"]), Path(asked["out"]), Path(asked["checkpoints"]), report,
          start, group)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """Where lines go to: Dagster's log when it started this process, else standard output."""
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        yield _print
        return
    with open_dagster_pipes() as pipes:
        yield pipes.log.info


def work(job: Path, settings: TrainingSettings) -> None:
    """One of several processes that train together."""
    with joined(pick_device(settings.device)) as group:
        if group.rank == 0:
            with _told() as say:
                run_job(job, say, group)
        else:
            run_job(job, _print, group)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train_process")
    parser.add_argument("job", type=Path)
    for name in ("--rendezvous", "--address"):
        parser.add_argument(name, default="")
    for name in ("--node", "--parent"):
        parser.add_argument(name, type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Entry point."""
    asked = _arguments()
    end_when_interrupted()
    if asked.parent:
        end_with(asked.parent)
    job: Path = asked.job
    try:
        settings = TrainingSettings.model_validate(json.loads(job.read_bytes())["settings"])
        if settings.nodes > 1:
            node = Node(asked.node, settings.nodes, asked.address, asked.rendezvous)
            launch(settings.processes, work, job, settings, node=node)
        elif settings.processes > 1:
            launch(settings.processes, work, job, settings)
        else:
            with _told() as say:
                run_job(job, say)
    except PlatformError as error:
        job.with_name(ERROR_FILE).write_text(str(error))
        sys.stderr.write(f"training: {error}\n")
        sys.exit(ACTIONABLE)


if __name__ == "__main__":
    main()
