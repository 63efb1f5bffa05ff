"""Scoring a folder of images: the `batch_predictions` asset against the in-process limit.

Shares are of wall time and of CPU time; the latter does not move with what else a machine does.
The limit decodes bytes that are in RAM already and runs the same program on as many threads:
no files, no hashes, no Parquet, no Dagster. Networks have random weights, which take as long.
Files are in the page cache for all. Every round scores anew: its folder has one more file name.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import dagster as dg
import numpy as np
import torch

from benchmarks.home import Home, temporary_home
from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.config import PROJECT_ROOT, load_settings
from mlops_assets.contracts.model_card import (
    CARD_FILE,
    PROGRAM_FILE,
    ModelCard,
    ModelOrigin,
)
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.models.export import export_program
from mlops_assets.models.network import ImageNetwork, NetworkSpec
from mlops_assets.monitoring.scorer import load_scorer
from mlops_assets.provenance.hashing import sha256_file
from resources.engine import Threads
from resources.folders import LocalFolder
from resources.steps import Step, Workspace, run_step

CLASSES: Final = [f"class-{index}" for index in range(10)]


@dataclass(frozen=True, slots=True)
class Case:
    """Images of one size, and the network that scores them."""

    name: str
    model: str
    pixels: PixelSpec
    suffix: str
    images: int

    def encode(self, index: int) -> bytes:
        """A smooth random picture: it compresses as a photograph does."""
        random = np.random.default_rng(index)
        shape = (self.pixels.height // 4, self.pixels.width // 4, self.pixels.channels)
        coarse = random.integers(0, 256, shape, dtype=np.uint8)
        picture = cv2.resize(coarse, (self.pixels.width, self.pixels.height))
        worked, content = cv2.imencode(self.suffix, picture)
        if not worked:
            raise SystemExit(f"{self.suffix} can not be written")
        return content.tobytes()


CASES: Final = (
    Case("28 px PNG, test_byobnet", "test_byobnet", PixelSpec(height=28, width=28, channels=1),
         ".png", 50_000),
    Case("224 px JPEG, resnet18", "resnet18", PixelSpec(height=224, width=224, channels=3),
         ".jpg", 600),
)


def write_model(case: Case, home: Home) -> None:
    """Materialize an exported model of this architecture."""
    def build(work: Workspace) -> None:
        torch.manual_seed(0)
        channels = case.pixels.channels
        network = ImageNetwork(NetworkSpec(case.model, {}, None, channels, CLASSES,
                                           [110.0] * channels, [60.0] * channels))
        out = work.out("exported_model")
        export_program(network.eval(), case.pixels, out / PROGRAM_FILE)
        digest = sha256_file(out / PROGRAM_FILE)
        card = ModelCard(
            name="benchmark", version=digest, architecture=case.model, classes=CLASSES,
            pixels=case.pixels, embedding_size=network.backbone.num_features,
            program_sha256=digest, max_parity_error=0.0, metrics={},
            origin=ModelOrigin(**dict.fromkeys(ModelOrigin.model_fields, "benchmark")),
        )
        (out / CARD_FILE).write_text(card.model_dump_json())

    step = Step("models", ("exported_model",), config={"case": case.name})
    run_step(home.store, step, build, project_root=PROJECT_ROOT, run_id="benchmark")


def at_the_limit(home: Home, contents: Sequence[bytes], batch: int, threads: int) -> None:
    """Decode and compute, from RAM to nowhere."""
    model = home.store.path(home.store.pin("exported_model"))
    scorer = load_scorer(model, LocalFolder(model))
    shape = scorer.card.pixels.shape

    def score(some: Sequence[bytes]) -> Any:
        pixels = np.empty((len(some), *shape), np.uint8)
        for index, content in enumerate(some):
            pixels[index] = decode_pixels(content, scorer.card.pixels)
        return scorer.session.run(["probabilities"], {"images": pixels})

    batches = [contents[start : start + batch] for start in range(0, len(contents), batch)]
    for _ in Threads(threads).run(lambda: score, batches):
        pass


def run_case(case: Case, root: Path, rounds: int) -> list[dict[str, Any]]:
    """Seconds of each side in each round."""
    contents = [case.encode(index) for index in range(case.images)]
    folder = root / "images" / "bench"
    for index, content in enumerate(contents):
        place = folder / f"{index // 1000:03d}" / f"{index:06d}{case.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    os.environ["MLOPS__SCORING__ROOT"] = str(folder.parent)
    settings = load_settings("demo").scoring
    runs = []
    with temporary_home(root / "home") as home:
        write_model(case, home)
        home.instance.add_dynamic_partitions("scoring", ["bench"])

        def asset() -> None:
            home.materialize(dg.AssetSelection.assets("batch_predictions"), "bench")

        sides: dict[str, Callable[[], None]] = {
            "asset": asset,
            "limit": lambda: at_the_limit(
                home, contents, settings.batch_size, settings.threads),
        }
        for number in range(rounds + 1):
            (folder / f"round-{number}{case.suffix}").write_bytes(case.encode(-1 - number & 0xFFFF))
            for side, work in sides.items():
                began, cpu = time.perf_counter(), time.process_time()
                work()
                seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
                if number:  # the first round warms up
                    runs.append({"case": case.name, "side": side, "round": number,
                                 "images": case.images, "seconds": seconds, "cpu_seconds": cpu})
    shutil.rmtree(root)
    return runs


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    cases = [replace(case, images=case.images // 20) for case in CASES] if options.quick else CASES
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="bench-scoring-") as scratch:
        runs = [run for number, case in enumerate(cases)
                for run in run_case(case, Path(scratch, str(number)),
                                    1 if options.quick else options.rounds)]
    table: list[Row] = []
    summary: dict[str, float] = {}
    for case in cases:
        asset, limit = ({
            key: statistics.median(run[key] for run in runs
                                   if run["case"] == case.name and run["side"] == side)
            for key in ("seconds", "cpu_seconds")} for side in ("asset", "limit"))
        size = f"{case.pixels.height}px"
        share = limit["seconds"] / asset["seconds"]
        share_cpu = limit["cpu_seconds"] / asset["cpu_seconds"]
        rates = [case.images / each["seconds"] for each in (asset, limit)]
        summary |= {f"share_of_limit_{size}": share, f"share_of_limit_cpu_{size}": share_cpu,
                    f"images_per_second_{size}": rates[0]}
        table.append({"case": case.name, "images": case.images, "asset, images/s": rates[0],
                      "limit, images/s": rates[1], "share": share, "share of CPU": share_cpu})
    publish(Report(
        name="scoring", command="python -m benchmarks.scoring", machine=machine, runs=runs,
        method=f"the whole `batch_predictions` step (listing and hashing, scoring, Parquet, "
        f"commit, Dagster), medians of {options.rounds} interleaved rounds.",
        summary=summary, table=table,
    ), quick=options.quick)


if __name__ == "__main__":
    main()
