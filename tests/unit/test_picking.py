"""The fastest backend that may serve is picked; every other one has a reason against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_assets.contracts.backends import BACKENDS_FILE, Pick, Precision, read_pick
from mlops_assets.models.backends.picking import (
    Allowed,
    Measured,
    NoBackend,
    choose,
    refuse,
    to_pick,
)
from mlops_assets.models.backends.speed import Speed
from mlops_assets.models.gate import Decision, GateReport

LIMIT = 1e-4
NAMES = ("onnxruntime", "openvino", "openvino-bf16", "onnxruntime-int8", "torch")


def measured(
    name: str, rate: float, *, precision: Precision = "fp32", error: float = 1e-6,
    gate: Decision | None = None, engine: str | None = "onnxruntime", missing: str | None = None,
) -> Measured:
    return Measured(
        name=name, precision=precision, engine=engine, missing=missing, error=error, same=1.0,
        program=None if engine is None else "model.onnx", rows=10,
        speed=None if missing else Speed(1.0, rate, 1.0, 1.0, 3),
        gate=None if gate is None else GateReport(gate, "accuracy -0.3000", []),
    )


EXACT = measured("onnxruntime", 1000)


@pytest.mark.parametrize(("allowed", "others", "picked"), [
    ("exact", [measured("openvino", 1100)], "openvino"),
    ("exact", [measured("openvino", 900)], "onnxruntime"),
    ("exact", [measured("openvino", 1040)], "onnxruntime"),  # within 5 % the first in the list
    ("exact", [measured("openvino", 9000, error=2e-4)], "onnxruntime"),
    ("exact", [measured("openvino", 9000, error=float("nan"))], "onnxruntime"),
    ("exact", [measured("openvino", 9000, missing="not installed")], "onnxruntime"),
    ("exact", [measured("torch", 9000, engine=None)], "onnxruntime"),
    ("exact", [measured("openvino-bf16", 9000, precision="bf16", error=0.02, gate="promote")],
     "onnxruntime"),
    ("reduced", [measured("openvino-bf16", 9000, precision="bf16", error=0.02, gate="promote")],
     "openvino-bf16"),
    ("reduced", [measured("onnxruntime-int8", 9000, precision="int8", error=0.1, gate="reject")],
     "onnxruntime"),
    ("reduced", [measured("onnxruntime-int8", 9000, precision="int8", error=0.1,
                          gate="inconclusive")], "onnxruntime"),
    ("reduced", [measured("onnxruntime-int8", 9000, precision="int8", error=0.1)], "onnxruntime"),
    ("reduced", [measured("onnxruntime-int8", 9000, precision="int8", error=0.1, gate="promote"),
                 measured("openvino-bf16", 9900, precision="bf16", error=0.02, gate="promote")],
     "openvino-bf16"),
])
def test_picks_the_fastest_that_may_serve(
    allowed: Allowed, others: list[Measured], picked: str
) -> None:
    choice = choose([EXACT, *others], allowed=allowed, max_error=LIMIT)
    assert choice.picked.name == picked
    assert choice.verdicts[picked] == "picked"
    assert set(choice.verdicts) == {"onnxruntime", *(each.name for each in others)}


@pytest.mark.parametrize(("found", "allowed", "reason"), [
    (measured("torch", 1, engine=None), "reduced", "the service does not carry it"),
    (measured("openvino", 1, missing="not installed: pip install"), "exact", "pip install"),
    (measured("openvino", 1, error=0.3), "exact", "differs by 0.3; the limit is 0.0001"),
    (measured("openvino-bf16", 1, precision="bf16"), "exact", "bf16 is not allowed"),
    (measured("onnxruntime-int8", 1, precision="int8", gate="reject"), "reduced",
     "refused by the gate: accuracy -0.3000"),
    (measured("onnxruntime-int8", 1, precision="int8"), "reduced", "no verdict"),
])
def test_says_what_speaks_against_a_backend(
    found: Measured, allowed: Allowed, reason: str
) -> None:
    assert reason in str(refuse(found, allowed=allowed, max_error=LIMIT))


def test_without_a_backend_that_may_serve_the_release_stops_with_every_reason() -> None:
    every = [measured("torch", 10, engine=None), measured("openvino", 10, missing="no GPU")]
    with pytest.raises(NoBackend, match=r"torch: compared only.*; openvino: no GPU"):
        choose(every, allowed="exact", max_error=LIMIT)


def test_a_pick_holds_no_time_and_comes_back_from_its_file(tmp_path: Path) -> None:
    slow, fast = measured("onnxruntime", 1), measured("onnxruntime", 10**6)
    pick = to_pick(slow, ["openvino==1"])
    assert pick == to_pick(fast, ["openvino==1"])
    assert pick.golden_tolerance == 1e-3
    (tmp_path / BACKENDS_FILE).write_text(json.dumps({"picked": pick.model_dump(mode="json")}))
    assert read_pick(tmp_path) == pick
    assert Pick.model_validate_json(pick.model_dump_json()) == pick


@pytest.mark.parametrize(("error", "tolerance"), [(0.0, 0.01), (0.003, 0.01), (0.023, 0.05)])
def test_reduced_precision_is_taken_with_twice_the_difference_that_was_found(
    error: float, tolerance: float
) -> None:
    found = measured("openvino-bf16", 1, precision="bf16", error=error)
    assert to_pick(found, []).golden_tolerance == pytest.approx(tolerance)
