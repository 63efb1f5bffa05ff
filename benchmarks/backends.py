"""Backends that run one exported model: speed, largest difference from torch eager, size.

timm's resnet18 with random weights and the batch norms of a trained network, which takes as long
as a trained one. Rounds are interleaved over all backends; the quickest run of each counts, as
other work on the machine only adds time. Accuracy is no matter here: a release holds reduced
precision against the gate, on its own model and rows.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.report import Report, Row, describe_machine, publish
from bentos.cpus import cpu_quota
from mlops_assets.config import ExportSettings
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    INT8_FILE,
    PROGRAM_FILE,
    ModelCard,
    ModelOrigin,
)
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.models.backends.backend import Sources
from mlops_assets.models.backends.catalog import find_backends
from mlops_assets.models.backends.compare import compare_answers, load_all
from mlops_assets.models.backends.quantize import write_int8
from mlops_assets.models.backends.speed import BATCH, measure
from mlops_assets.models.export import export_program
from mlops_assets.models.network import ImageNetwork, NetworkSpec, save_network
from mlops_assets.models.onnx_file import write_batched
from mlops_assets.models.programs import run_network
from mlops_assets.provenance.hashing import sha256_file

CLASSES: Final = [f"class-{index}" for index in range(10)]
SLOW: Final = ("aotinductor",)


@dataclass(frozen=True, slots=True)
class Case:
    """A network and the images that it takes."""

    name: str
    pixels: PixelSpec
    images: int

    def draw(self) -> NDArray[np.uint8]:
        """Smooth random pictures, uint8 ``[images, H, W, C]``."""
        random, side = np.random.default_rng(0), self.pixels.height
        drawn = [cv2.resize(random.integers(0, 256, (7, 7, self.pixels.channels), dtype=np.uint8),
                            (side, side)) for _ in range(self.images)]
        return np.stack(drawn).reshape(self.images, *self.pixels.shape)


CASES: Final = (
    Case("28 px", PixelSpec(height=28, width=28, channels=1), 512),
    Case("224 px", PixelSpec(height=224, width=224, channels=3), 128),
)


def make_network(spec: NetworkSpec) -> ImageNetwork:
    """Random weights, and batch norms that do something."""
    torch.manual_seed(0)
    network = ImageNetwork(spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    return network.eval()


def write_model(case: Case, folder: Path, images: NDArray[np.uint8]) -> Sources:
    """The folders of a trained and an exported model."""
    sources = Sources(folder / "exported", folder / "trained", folder, cpu_quota())
    channels = case.pixels.channels
    spec = NetworkSpec("resnet18", {"zero_init_last": False}, None, channels, CLASSES,
                       [110.0] * channels, [60.0] * channels)
    network = make_network(spec)
    for each in (sources.exported, sources.trained):
        each.mkdir(parents=True)
    save_network(sources.trained, spec, network.state_dict())
    program = sources.exported / PROGRAM_FILE
    export_program(network, case.pixels, program)
    write_batched(program, sources.exported / BATCHED_FILE)
    write_int8(program, sources.exported / INT8_FILE, images, rows=64)
    digest = sha256_file(program)
    card = ModelCard(
        name="benchmark", version=digest, architecture="resnet18", classes=CLASSES,
        pixels=case.pixels, embedding_size=network.backbone.num_features, program_sha256=digest,
        max_parity_error=0.0, metrics={},
        origin=ModelOrigin(**dict.fromkeys(ModelOrigin.model_fields, "benchmark")),
    )
    (sources.exported / CARD_FILE).write_text(card.model_dump_json())
    return sources


def run_case(case: Case, root: Path, names: list[Any], seconds: float) -> list[dict[str, Any]]:
    """Every backend over one network."""
    images = case.draw()
    sources = write_model(case, root, images)
    expected, _ = run_network(sources.trained, images, threads=sources.threads)
    found, runs = load_all(find_backends(names), sources, images[:2])
    speeds = measure(runs, images, seconds=seconds)
    rows: list[dict[str, Any]] = []
    for each in found:
        row = {"case": case.name, "backend": each.name, "precision": each.precision,
               "missing": each.missing}
        if each.name in runs:
            compared = compare_answers(each, runs[each.name], images, expected)
            speed = speeds[each.name]
            row |= {
                "single_ms": speed.single_ms, "images_per_second": speed.images_per_second,
                "median_ms": speed.median_ms, "median_batch_ms": speed.median_batch_ms,
                "rounds": speed.rounds, "largest_error": compared.error, "same": compared.same,
                "bytes": each.size, "load_seconds": each.load_seconds,
            }
        rows.append(row)
    return rows


def to_table(runs: list[dict[str, Any]]) -> list[Row]:
    """What the page shows; of a backend that is not there, why."""
    return [{
        "images": run["case"], "backend": run["backend"], "precision": run["precision"],
        "one image, ms": run.get("single_ms", run["missing"]),
        f"images a second in batches of {BATCH}": run.get("images_per_second", ""),
        "largest difference of a probability": run.get("largest_error", ""),
        "same label": run.get("same", ""),
        "MB": run["bytes"] / 1e6 if "bytes" in run else "",
        "loads in s": run.get("load_seconds", ""),
    } for run in runs]


def summarize(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Images a second in batches, as multiples of torch eager."""
    summary: dict[str, float] = {}
    for case in dict.fromkeys(run["case"] for run in runs):
        rates = {run["backend"]: run["images_per_second"] for run in runs
                 if run["case"] == case and run["missing"] is None}
        key = case.replace(" ", "")
        for name, rate in rates.items():
            if name != "torch":
                summary[f"{name.replace('-', '_')}_over_torch_{key}"] = rate / rates["torch"]
    return summary


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of timing, each network")
    parser.add_argument("--quick", action="store_true", help="short, nothing compiled")
    options = parser.parse_args()
    names = list(ExportSettings().backends)
    if options.quick:
        options.seconds, names = 1.0, [name for name in names if name not in SLOW]
    machine = describe_machine()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-backends-") as scratch:
        for case in CASES:
            runs += run_case(case, Path(scratch) / case.name.replace(" ", ""), names,
                             options.seconds)
    publish(Report(
        name="backends", command="python -m benchmarks.backends", machine=machine,
        method=f"timm `resnet18`, random weights, {cpu_quota()} threads; the quickest of "
        f"interleaved rounds of {options.seconds:g} s a network.",
        summary=summarize(runs), table=to_table(runs), runs=runs,
    ), quick=options.quick)


if __name__ == "__main__":
    main()
