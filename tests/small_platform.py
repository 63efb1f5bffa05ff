"""A whole platform home in seconds: real steps over small images, and a tiny model, not trained."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from click.testing import CliRunner, Result

from mlops_assets.cli import main
from mlops_assets.config import DatasetSettings, SplitShares, ValidationSettings
from mlops_assets.contracts.manifest import ROWS_FILE
from mlops_assets.contracts.model_card import CARD_FILE, INT8_FILE, ModelCard
from mlops_assets.contracts.neighbours import write_neighbours
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    PredictionRecord,
    new_prediction_id,
)
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.models.registration import REGISTRATION_FILE
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes
from mlops_assets.raw.build import build_snapshot, describe_source
from mlops_assets.releases.build import BENTO_FILE
from mlops_assets.serving.states import publish_state, release
from mlops_assets.validated.build import build_validated
from mlops_assets.validated.dataset import build_dataset
from resources.bentos import list_files
from resources.dvc import DvcRepository
from resources.engine import Threads
from resources.journal import JournalWriter
from resources.platform_db import PlatformDatabase
from resources.steps import Reading, Step, StepResult, Workspace
from tests.model_dir import write_model_dir
from tests.small_store import Build, Home, filler

BATCH = "initial"
LIMITS = ValidationSettings(near_duplicate_rms=0.0)
QUANTIZED = b"another form of the program"
NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def write_images(folder: Path, *, count: int = 12) -> list[bytes]:
    """Noise images of two classes, and one blank image, which will be quarantined."""
    contents = []
    for label in ("bag", "coat"):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng([number, label == "bag"])
            pixels = random.integers(0, 256, (12, 10), dtype=np.uint8)
            contents.append(cv2.imencode(".png", pixels)[1].tobytes())
            (folder / label / f"{number:03d}.png").write_bytes(contents[-1])
    blank = cv2.imencode(".png", np.zeros((12, 10), np.uint8))[1].tobytes()
    (folder / "coat" / "blank.png").write_bytes(blank)
    return [*contents, blank]


def mlops(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, list(arguments))


class SmallPlatform(Home):
    """Every group's assets below ``home``, what serves, and two predictions."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.home = folder / "home"
        self.images = write_images(folder / "images")
        self._make_data(DatasetSettings(source="image_folder", root=str(folder / "images"),
                                        pixels=PixelSpec(height=12, width=10, channels=1)))
        self._make("training_shards", {"dataset": "one", "raw_images": "ancestor"},
                   filler("training_shards", {"train-images.npy": bytes(4000)}))
        self._make("trained_model", {"training_shards": "one"}, _train)
        self.exported = self._make(
            "exported_model", {"trained_model": "one", "training_shards": "one"}, self._export).ref
        self.card = ModelCard.model_validate_json(
            (self.store.path(self.exported) / CARD_FILE).read_bytes())
        self._make("registered_model", {"exported_model": "one"}, self._register)
        self.tag = f"classifier:{self.card.version[:16]}"
        self.bento = self.home / "bentoml" / "bentos" / self.tag.replace(":", "/")
        self._make("model_bento", {"exported_model": "one", "registered_model": "one"}, self._pack)
        self._serve()
        journal = JournalWriter(self.home / "journal")
        self.predictions = [self._predict(image, journal)
                            for image in (self.images[0], b"never seen")]
        journal.close()

    def _make_data(self, settings: DatasetSettings) -> None:
        step = Step("raw", ("raw_images",), config=describe_source(settings))
        raw = self.run(step, partial(build_snapshot, settings), partition=BATCH)[0]
        DvcRepository(self.store.root).track(self.store.path(raw.ref))
        self.run(Step("validated", ("validated_images", "quarantined_images"),
                      inputs={"raw_images": "same-partition"}),
                 partial(build_validated, LIMITS, engine=Threads(1)), partition=BATCH)
        self.run(Step("validated", ("dataset",), inputs={"validated_images": "every-partition"}),
                 partial(build_dataset, SplitShares(), LIMITS))

    def _make(self, asset: str, inputs: dict[str, Reading], build: Build) -> StepResult:
        return self.run(Step("releases", (asset,), inputs=inputs), build)[0]

    def _export(self, work: Workspace) -> None:
        work.out("exported_model").rmdir()
        folder = work.folder / "exported_model"
        write_model_dir(folder, origin_dataset=self.store.pin("dataset").version)
        rows = pl.read_parquet(self.store.path(self.store.pin("dataset")) / ROWS_FILE).filter(
            split="train")
        random = np.random.default_rng(1)
        write_neighbours(folder, rows["image_id"].to_numpy(),
                         np.zeros(len(rows), np.int64),
                         random.normal(size=(len(rows), 2)).astype(np.float32))
        (work.folder / "exported_model" / INT8_FILE).write_bytes(QUANTIZED)

    def _register(self, work: Workspace) -> None:
        facts = {"name": "classifier", "registry_version": "1"}
        (work.out("registered_model") / REGISTRATION_FILE).write_bytes(canonical_json(facts))

    def _pack(self, work: Workspace) -> None:
        shutil.copytree(work.read("exported_model"), self.bento / "src" / "model")
        (self.bento / "README.md").write_text("a bento\n")
        facts = {"tag": self.tag, "model_version": self.card.version,
                 "files": list_files(self.bento)}
        (work.out("model_bento") / BENTO_FILE).write_bytes(canonical_json(facts))

    def _serve(self) -> None:
        state = release(RolloutState(revision=0), self.tag, self.card.version, now=NOW)
        with closing(PlatformDatabase(self.home)) as database:
            database.change_state(state, actor="rollout", action="release", details={})
        publish_state(self.home, state)

    def _predict(self, image: bytes, journal: JournalWriter) -> PredictionRecord:
        model = AnsweringModel(name="classifier", version=self.card.version, slot="champion",
                               sha256=self.card.program_sha256)
        record = PredictionRecord(
            answer=Answer(prediction_id=new_prediction_id(NOW), label="bag", confidence=0.75,
                          probabilities={"bag": 0.75, "coat": 0.25}, model=model, latency_ms=1.0),
            at=NOW, image_sha256=sha256_bytes(image), bento_tag=self.tag,
            embedding=[0.5, -1.0], pixel_mean=100.0, pixel_std=20.0,
        )
        journal.append(record)
        return record


def _train(work: Workspace) -> None:
    (work.out("trained_model") / "weights.safetensors").write_bytes(bytes(range(256)) * 8)
    work.summary("trained_model").values["mlflow_run_id"] = "0123456789abcdef"
