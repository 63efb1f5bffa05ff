"""Build of ``backend_comparison``: every backend measured, one picked, and why."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import ExportSettings, GateSettings
from mlops_assets.contracts.backends import BACKENDS_FILE, BackendName
from mlops_assets.contracts.summary import Summary
from mlops_assets.features.shards import read_classes, read_shard
from mlops_assets.features.statistics import evenly
from mlops_assets.models.backends.backend import Backend, Run, Sources, Unable
from mlops_assets.models.backends.catalog import find_backends
from mlops_assets.models.backends.picking import (
    Allowed,
    Choice,
    Measured,
    choose,
    refuse,
    to_pick,
)
from mlops_assets.models.backends.speed import measure
from mlops_assets.models.evaluation import PREDICTIONS_FILE, make_slices
from mlops_assets.models.gate import judge_replacement
from mlops_assets.models.programs import BATCH_ROWS
from mlops_assets.provenance.hashing import canonical_json
from resources.steps import Workspace

PARITY_ROWS: Final = 2000
PACKAGES: Final = ("onnxruntime", "openvino", "torch")

Probabilities = NDArray[np.float32]
Row = dict[str, float | int | str | bool]


def build_comparison(
    settings: ExportSettings, gate: GateSettings, allowed: Allowed, work: Workspace, *,
    threads: int,
) -> None:
    """Fill ``backend_comparison``.

    It is an observation: times differ from one measurement to the next, and each is an artifact
    of its own. What is built from it follows from the pick alone.

    Raises:
        NoBackend: none may serve.
    """
    shards, evaluation = work.read("training_shards"), work.read("model_evaluation")
    classes, test = read_classes(shards), read_shard(shards, "test")
    with np.load(evaluation / PREDICTIONS_FILE) as kept:
        expected: Probabilities = kept["probabilities"]
    backends = find_backends(settings.backends)
    with tempfile.TemporaryDirectory(prefix="backends-") as scratch:
        sources = Sources(work.read("exported_model"), work.read("trained_model"), Path(scratch),
                          threads)
        found, runs = load_all(backends, sources, test.images[:2])
        speeds = measure(runs, test.images[:64], seconds=settings.measure_seconds)
        measured = []
        for each in found:
            if each.name in runs:
                each = compare_answers(each, runs[each.name], test.images, expected)
                each = replace(each, speed=speeds[each.name])
                if each.precision != "fp32":
                    right = _answer(runs[each.name], test.images).argmax(1) == test.labels
                    report = judge_replacement(
                        right, expected.argmax(1) == test.labels, make_slices(test, classes), gate)
                    each = replace(each, gate=report)
            measured.append(each)
    choice = choose(measured, allowed=allowed, max_error=gate.max_parity_error)
    packages = next(each.packages for each in backends if each.name == choice.picked.name)
    pick = to_pick(choice.picked, [f"{name}=={version(name)}" for name in packages])
    body = {
        "picked": pick.model_dump(mode="json"), "reason": choice.reason, "precision": allowed,
        "backends": [to_json(each, choice) for each in measured], "threads": threads,
        "packages": installed(PACKAGES), "max_parity_error": gate.max_parity_error,
    }
    (work.out("backend_comparison") / BACKENDS_FILE).write_bytes(canonical_json(body))
    summary = work.summary("backend_comparison")
    _summarize(summary, measured, choice)
    picked = choice.picked
    summary.check(
        "answers_as_torch", largest=picked.error, same_answer=picked.same,
        passed=refuse(picked, allowed=allowed, max_error=gate.max_parity_error) is None,
        description=f"{picked.name} ({picked.precision}) differs from torch eager by at most "
        f"{picked.error:.2e} over {picked.rows} images; {picked.same:.2%} of labels are equal",
    )


def load_all(
    backends: Sequence[Backend], sources: Sources, probe: NDArray[np.uint8]
) -> tuple[list[Measured], dict[str, Run]]:
    """Load what is there and run it on ``probe``, uint8 ``[n, H, W, C]``.

    In order, with the reason where a backend is not there or can not run this model; and what
    can run, by name.
    """
    found: list[Measured] = []
    runs: dict[str, Run] = {}
    for backend in backends:
        each = Measured(name=backend.name, precision=backend.precision, engine=backend.engine,
                        program=backend.program, missing=backend.missing(sources))
        if each.missing is None:
            started = time.perf_counter()
            try:
                loaded = backend.load(sources)
                seconds = time.perf_counter() - started
                loaded.run(probe)
            except (Unable, RuntimeError) as error:
                # What a backend can not run is a finding of the comparison, not its end.
                each = replace(each, missing=f"can not run this model: {_last_line(error)}")
            else:
                runs[backend.name] = loaded.run
                each = replace(each, size=loaded.size, load_seconds=seconds)
        found.append(each)
    return found, runs


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200]


def compare_answers(
    found: Measured, run: Run, images: NDArray[np.uint8], expected: Probabilities
) -> Measured:
    """With ``error`` and ``same``, over at most ``PARITY_ROWS`` rows.

    Args:
        found: what is known of the backend.
        run: the backend.
        images: uint8 ``[N, H, W, C]``, held out.
        expected: probabilities float32 ``[N, K]`` of torch eager for them.
    """
    rows = evenly(len(images), PARITY_ROWS)
    answers, wanted = _answer(run, images[rows]), expected[rows]
    return replace(found, error=float(np.abs(answers - wanted).max()), rows=len(rows),
                   same=float((answers.argmax(1) == wanted.argmax(1)).mean()))


def _answer(run: Run, images: NDArray[np.uint8]) -> Probabilities:
    return np.concatenate([run(images[start : start + BATCH_ROWS])[0]
                           for start in range(0, len(images), BATCH_ROWS)])


def installed(names: Iterable[str]) -> dict[str, str]:
    """Version of each package, of those that are installed."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def to_json(found: Measured, choice: Choice) -> dict[str, Any]:
    """Every number of one backend; what was not measured is null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        return None if isinstance(value, float) and math.isnan(value) else value

    return {**plain(asdict(found)), "verdict": choice.verdicts[found.name]}


def to_row(found: Measured, verdicts: Mapping[BackendName, str]) -> Row:
    """One line of the table that a person sees."""
    row: Row = {
        "backend": found.name, "precision": found.precision, "verdict": verdicts[found.name],
    }
    speed = found.speed
    gate = found.gate.slices[0] if found.gate else None
    return row | {
        "single_ms": round(speed.single_ms, 3) if speed else "",
        "images_per_second": round(speed.images_per_second) if speed else "",
        "largest_error": found.error if speed else "",
        "same_label": found.same if speed else "",
        "bytes": found.size if speed else "",
        "load_seconds": round(found.load_seconds, 3) if speed else "",
        "accuracy_change": gate.difference if gate else "",
    }


def _summarize(summary: Summary, measured: Sequence[Measured], choice: Choice) -> None:
    picked = choice.picked
    summary.tables["backends"] = [to_row(each, choice.verdicts) for each in measured]
    summary.values |= {"picked": picked.name, "precision": picked.precision,
                       "reason": f"picked: {picked.name} because {choice.reason}"}
    gates = {each.name: each.gate for each in measured if each.gate is not None}
    for name, report in gates.items():
        overall, *parts = report.slices
        worst = min(parts, key=lambda part: part.difference, default=overall)
        key = name.replace("-", "_")
        summary.values |= {
            f"{key}_gate": f"{report.decision}: {report.reason}",
            f"{key}_accuracy_change": overall.difference,
            f"{key}_worst_slice": f"{worst.slice}: {worst.difference:+.4f} "
                                  f"({worst.lower:+.4f} to {worst.upper:+.4f})",
        }
