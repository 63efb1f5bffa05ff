"""Backends compute what torch does, as exactly as they say; quantization passes a gate or not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from bentos.openvino_session import has_bf16
from bentos.runtime import Runtime
from bentos.sessions import ModelRefused
from mlops_assets.config import GateSettings
from mlops_assets.contracts.backends import BackendName, Pick
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    GOLDEN_FILE,
    INT8_FILE,
    PROGRAM_FILE,
    ModelCard,
)
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.models.backends.backend import Sources
from mlops_assets.models.backends.catalog import find_backends
from mlops_assets.models.backends.compare import compare_answers, load_all
from mlops_assets.models.backends.picking import Measured, refuse, to_pick
from mlops_assets.models.backends.quantize import write_int8
from mlops_assets.models.backends.speed import BATCH, measure
from mlops_assets.models.export import export_program
from mlops_assets.models.gate import GateReport, judge_replacement
from mlops_assets.models.network import ImageNetwork, NetworkSpec, save_network
from mlops_assets.models.onnx_file import write_batched
from mlops_assets.models.programs import run_network, run_program
from mlops_assets.provenance.hashing import sha256_file
from tests.model_dir import write_model_dir

PIXELS = PixelSpec(height=16, width=16, channels=1)
SPEC = NetworkSpec("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 16, 24, 32]}, None, 1,
                   [str(number) for number in range(10)], [73.0], [90.0])
TRAINED = 1000
SETTINGS = GateSettings(bootstrap_rounds=500)
EVERY: tuple[BackendName, ...] = (
    "onnxruntime", "onnxruntime-batched", "onnxruntime-int8", "openvino", "openvino-bf16",
    "openvino-int8", "torch", "onnxruntime-cuda", "onnxruntime-tensorrt",
)


@dataclass(frozen=True)
class Model:
    """A trained and exported model over digits, and held-out images with their labels."""

    sources: Sources
    network: ImageNetwork
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    expected: NDArray[np.float32]

    @property
    def card(self) -> ModelCard:
        return ModelCard.model_validate_json((self.sources.exported / CARD_FILE).read_bytes())


def read_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    digits = load_digits()
    images = (digits.images * 15.9375).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    return images[..., None], digits.target.astype(np.int64)


def train(network: ImageNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005)
    pixels, wanted = torch.from_numpy(images), torch.from_numpy(labels)
    order = np.random.default_rng(0)
    for _ in range(150):
        rows = order.integers(0, len(images), 64)
        loss = torch.nn.functional.cross_entropy(network.train()(pixels[rows])[0], wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()


def export(network: ImageNetwork, folder: Path) -> Model:
    images, labels = read_digits()
    sources = Sources(folder / "exported", folder / "trained", folder, 2)
    for each in (sources.exported, sources.trained):
        each.mkdir()
    save_network(sources.trained, SPEC, network.state_dict())
    export_program(network, PIXELS, sources.exported / PROGRAM_FILE)
    write_int8(sources.exported / PROGRAM_FILE, sources.exported / INT8_FILE, images[:TRAINED],
               rows=256)
    held = images[TRAINED:]
    expected, _ = run_network(sources.trained, held, threads=2)
    return Model(sources, network, held, labels[TRAINED:], expected)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    images, labels = read_digits()
    network = ImageNetwork(SPEC)
    train(network, images[:TRAINED], labels[:TRAINED])
    made = export(network, folder)
    exported = made.sources.exported
    assert write_batched(exported / PROGRAM_FILE, exported / BATCHED_FILE)
    write_model_dir(folder / "other")
    card = ModelCard.model_validate_json((folder / "other" / CARD_FILE).read_bytes())
    probabilities, embedding = run_program(exported, made.images[:16], threads=2)
    np.savez(exported / GOLDEN_FILE, images=made.images[:16], probabilities=probabilities)
    card = ModelCard.model_validate(card.model_dump() | {
        "classes": SPEC.classes, "pixels": PIXELS, "embedding_size": embedding.shape[1],
        "program_sha256": sha256_file(exported / PROGRAM_FILE),
        "batched_sha256": sha256_file(exported / BATCHED_FILE),
        "int8_sha256": sha256_file(exported / INT8_FILE),
    })
    (exported / CARD_FILE).write_text(card.model_dump_json())
    return made


@pytest.fixture(scope="module")
def found(model: Model) -> dict[str, Measured]:
    """What each backend of ``EVERY`` answers, against torch eager."""
    loaded, runs = load_all(find_backends(EVERY), model.sources, model.images[:2])
    return {each.name: compare_answers(each, runs[each.name], model.images, model.expected)
            if each.name in runs else each for each in loaded}


def gate(model: Model, program: str) -> GateReport:
    answers, _ = run_program(model.sources.exported, model.images, threads=2, program=program)
    slices = {"below five": model.labels < 5, "others": model.labels >= 5}
    return judge_replacement(answers.argmax(1) == model.labels,
                             model.expected.argmax(1) == model.labels, slices, SETTINGS)


def test_the_model_has_learned(model: Model) -> None:
    assert (model.expected.argmax(1) == model.labels).mean() > 0.85


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-batched", "openvino", "torch"])
def test_backends_of_fp32_answer_as_torch_eager(found: dict[str, Measured], name: str) -> None:
    each = found[name]
    assert each.missing is None
    assert each.error < 1e-5
    assert each.same == 1.0
    assert each.size > 10_000


@pytest.mark.parametrize("name", ["onnxruntime-int8", "openvino-int8"])
def test_int8_answers_nearly_as_torch_eager(found: dict[str, Measured], name: str) -> None:
    assert found[name].missing is None
    assert found[name].error > 1e-4
    assert found[name].same > 0.97


def test_bf16_is_stated_and_moves_answers_where_the_processor_has_it(
    found: dict[str, Measured]
) -> None:
    each = found["openvino-bf16"]
    if has_bf16():
        assert 1e-4 < each.error < 0.1
    else:
        assert each.missing == "this processor has no bf16"


@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_backends_of_a_gpu_say_what_is_missing_or_answer_as_torch_eager(
    found: dict[str, Measured], name: str
) -> None:
    each = found[name]
    if each.missing is None:
        assert each.error < 1e-4
    else:
        wanted = "install onnxruntime-gpu" if torch.cuda.is_available() else "no GPU"
        assert wanted in each.missing


def test_ahead_of_time_compiled_torch_answers_any_batch_as_eager(model: Model) -> None:
    (backend,) = find_backends(["aotinductor"])
    if (missing := backend.missing(model.sources)) is not None:
        assert missing == "no C++ compiler"
        return
    run = backend.load(model.sources).run
    for rows in (1, 3, 32):
        answers, embedding = run(model.images[:rows])
        assert np.abs(answers - model.expected[:rows]).max() < 1e-5
        assert embedding.shape == (rows, SPEC.model_args["channels"][-1])


def test_what_a_backend_can_not_run_is_a_finding(model: Model, tmp_path: Path) -> None:
    broken = Sources(tmp_path, model.sources.trained, tmp_path, 1)
    (tmp_path / PROGRAM_FILE).write_bytes(b"no program")
    loaded, runs = load_all(find_backends(["onnxruntime", "openvino", "onnxruntime-int8"]),
                            broken, model.images[:2])
    assert not runs
    assert [str(each.missing)[:24] for each in loaded] == [
        "can not run this model: ", "can not run this model: ", "no quantized program was"]


def test_speeds_are_of_interleaved_rounds(model: Model) -> None:
    _, runs = load_all(find_backends(["onnxruntime", "openvino"]), model.sources,
                       model.images[:2])
    order: list[str] = []

    def noted(name: str) -> Callable[[NDArray[np.uint8]], object]:
        def run(images: NDArray[np.uint8]) -> object:
            order.append(f"{name} {len(images)}")
            return runs[name](images)
        return run

    speeds = measure({name: noted(name) for name in runs}, model.images[:5], seconds=0.001)
    assert order == [f"{name} {rows}" for rows in (1, BATCH) for _ in range(3)
                     for name in runs for _ in range(2)]
    for speed in speeds.values():
        assert 0 < speed.single_ms <= speed.median_ms
        assert BATCH / speed.images_per_second * 1000 <= speed.median_batch_ms
        assert speed.rounds == 3


def test_a_quantized_program_is_a_quarter_and_of_equal_bytes_each_time(
    model: Model, tmp_path: Path
) -> None:
    exported, images = model.sources.exported, read_digits()[0][:TRAINED]
    count = write_int8(exported / PROGRAM_FILE, tmp_path / INT8_FILE, images, rows=256)
    assert count > 10
    assert (tmp_path / INT8_FILE).read_bytes() == (exported / INT8_FILE).read_bytes()
    write_int8(exported / PROGRAM_FILE, tmp_path / INT8_FILE, images, rows=64)
    assert (tmp_path / INT8_FILE).read_bytes() != (exported / INT8_FILE).read_bytes()


def test_a_quantized_program_that_keeps_the_accuracy_passes_the_gate(model: Model) -> None:
    report = gate(model, INT8_FILE)
    assert report.decision == "promote", report.reason
    assert abs(report.slices[0].difference) < 0.02


def test_a_quantized_program_that_loses_the_accuracy_is_refused(
    model: Model, tmp_path: Path
) -> None:
    """One channel a block ten thousand times as large, and its weights as much smaller.

    In fp32 the answers are the same; one scale for all channels leaves nothing of the others.
    """
    network = ImageNetwork(SPEC)
    network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        for stage in range(1, 5):
            block = getattr(network.backbone, f"layer{stage}")[0]
            block.bn1.weight[0] *= 1e4
            block.bn1.bias[0] = block.bn1.bias[0] * 1e4 + 1e4
            block.conv2.weight[:, 0] *= 1e-4
    absurd = export(network.eval(), tmp_path)
    report = gate(absurd, INT8_FILE)
    assert report.decision == "reject"
    assert "worse on overall" in report.reason
    found = Measured(name="onnxruntime-int8", precision="int8", engine="onnxruntime",
                     program=INT8_FILE, error=1.0, gate=report)
    refused = refuse(found, allowed="reduced", max_error=1e-4)
    assert refused == f"refused by the gate: {report.reason}"


def serve(model: Model, folder: Path, pick: Pick) -> Path:
    """The model folder of a bento, as ``releases.bento`` stages it."""
    folder.mkdir()
    card = model.card.as_served(pick)
    for name in card.programs:
        origin = pick.program if name == PROGRAM_FILE else name
        (folder / name).write_bytes((model.sources.exported / origin).read_bytes())
    (folder / GOLDEN_FILE).write_bytes((model.sources.exported / GOLDEN_FILE).read_bytes())
    (folder / CARD_FILE).write_text(card.model_dump_json())
    return folder


@pytest.mark.parametrize("name", ["openvino", "onnxruntime-int8"])
def test_the_service_computes_with_what_was_picked(
    model: Model, found: dict[str, Measured], tmp_path: Path, name: str
) -> None:
    pick = to_pick(found[name], [])
    runtime = Runtime(serve(model, tmp_path / "served", pick), threads=1, lone_threads=2)
    assert (runtime.card.engine, runtime.card.precision) == (pick.engine, pick.precision)
    assert runtime.card.version == model.card.version
    assert (runtime.card.computation == runtime.card.program_sha256) == (pick.precision == "fp32")
    assert runtime.card.program_sha256 == sha256_file(model.sources.exported / pick.program)
    assert runtime.golden_error < pick.golden_tolerance
    with ThreadPoolExecutor(4) as pool:
        batches = [model.images[start : start + 7] for start in range(0, 140, 7)]
        answers = np.concatenate([each[0] for each in pool.map(runtime.predict, batches)])
    assert np.abs(answers - model.expected[:140]).max() <= max(2 * found[name].error, 1e-5)
    assert np.abs(runtime.predict(model.images[:1], alone=True)[0] - answers[:1]).max() < 0.02


def test_without_openvino_onnxruntime_computes_the_same_program(
    model: Model, found: dict[str, Measured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bentos.sessions.is_installed", lambda: False)
    runtime = Runtime(serve(model, tmp_path / "fp32", to_pick(found["openvino"], [])))
    answers, _ = runtime.predict(model.images[:50])
    assert np.abs(answers - model.expected[:50]).max() < 1e-5
    bf16 = Pick(backend="openvino-bf16", engine="openvino", precision="bf16",
                program=PROGRAM_FILE, golden_tolerance=0.1)
    with pytest.raises(ModelRefused, match=r"pip install 'mlops-assets\[openvino\]'"):
        Runtime(serve(model, tmp_path / "bf16", bf16))


def test_openvino_is_imported_without_its_telemetry() -> None:
    code = (
        "import sys; from bentos.openvino_session import import_openvino; import_openvino(); "
        "from openvino.tools.ovc import telemetry_utils; "
        "print(telemetry_utils.tm.__name__, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "None"]


def test_signals_are_harmless_after_openvino_has_compiled(model: Model) -> None:
    """Its plugin leaves a freed signal stack behind, on which a signal is a segmentation fault."""
    program = model.sources.exported / PROGRAM_FILE
    code = (
        "import signal, sys; from pathlib import Path; "
        "from bentos.openvino_session import OpenVinoSession, has_bf16; has_bf16(); "
        f"OpenVinoSession(Path({str(program)!r}), 1); "
        "junk = [bytearray(9000) for _ in range(999)]; "
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "signal.raise_signal(signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr[-2000:]
