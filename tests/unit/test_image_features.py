"""The asset `image_features`: what is known of a batch's images, with real steps before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mlops_assets.config import DatasetSettings, ValidationSettings
from mlops_assets.contracts.image_features import FEATURES_FILE, FEATURES_SCHEMA
from mlops_assets.contracts.image_statistics import NAMES, describe_image
from mlops_assets.contracts.manifest import HASHES_FILE, MANIFEST_FILE
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.embeddings import EMBEDDINGS_FILE, IDS_FILE, STATISTICS_FILE
from mlops_assets.features.image_features import StaleInput, build_image_features, pin_known
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.provenance.record import read_record
from mlops_assets.raw.build import build_snapshot, describe_source
from mlops_assets.validated.build import build_validated
from resources.engine import Threads
from resources.feature_history import made_at
from resources.steps import Step, StepResult, Workspace
from tests.small_store import Home

PIXELS = PixelSpec(height=24, width=24, channels=1)
LIMITS = ValidationSettings()
Image = NDArray[np.uint8]


def draw(seed: int, *, brighter: int = 0) -> Image:
    """A smooth picture; a little brighter is nearly the same one."""
    coarse = np.random.default_rng(seed).integers(40, 200, (6, 6), dtype=np.uint8)
    smooth = cv2.resize(coarse, (24, 24), interpolation=cv2.INTER_CUBIC) + np.uint8(brighter)
    return smooth[..., np.newaxis]


def encode(image: Image) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


class Batches(Home):
    """Batches of images up to their features."""

    def take(self, batch: str, images: Sequence[Image]) -> StepResult:
        """Bring a batch to its features."""
        folder = self.folder / "images" / batch
        for number, image in enumerate(images):
            path = folder / ("bag", "coat")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(image))
        settings = DatasetSettings(source="image_folder", root=str(folder), pixels=PIXELS)
        self.run(Step("raw", ("raw_images",), config=describe_source(settings)),
                 partial(build_snapshot, settings), partition=batch)
        self.run(Step("validated", ("validated_images", "quarantined_images"),
                      inputs={"raw_images": "same-partition"}),
                 partial(build_validated, LIMITS, engine=Threads(1)), partition=batch)
        described = {sha256_bytes(encode(image)): describe_image(image) for image in images}
        self.run(Step("features", ("embeddings",), inputs={"validated_images": "same-partition"}),
                 partial(embed, described), partition=batch)
        return self.gather(batch)

    def gather(self, batch: str) -> StepResult:
        """The step of the asset itself."""
        step = Step("features", ("image_features",), inputs={"embeddings": "same-partition"},
                    pinned=pin_known(self.store, batch))
        return self.run(step, partial(build_image_features, LIMITS.issues.near_rms),
                        partition=batch)[0]

    def read(self, result: StepResult) -> pl.DataFrame:
        return pl.read_parquet(self.store.path(result.ref) / FEATURES_FILE)


def embed(described: Mapping[str, Sequence[float]], work: Workspace) -> None:
    """As the backbone would, quicker."""
    ids = pl.read_parquet(work.read("validated_images") / MANIFEST_FILE)["image_id"].to_list()
    out = work.out("embeddings")
    np.save(out / IDS_FILE, np.array(ids, "S64"))
    np.save(out / EMBEDDINGS_FILE, np.ones((len(ids), 3), np.float32))
    np.save(out / STATISTICS_FILE, np.array([described[each] for each in ids], np.float32))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batches:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Batches(tmp_path)


def test_row_has_statistics_and_the_time_of_its_snapshot(home: Batches) -> None:
    made = home.take("first", [draw(1), draw(2)])
    frame = home.read(made)
    assert frame.columns == FEATURES_SCHEMA.names
    raw = home.store.pin("raw_images", "first")
    assert set(frame["event_timestamp"]) == {read_record(home.store.path(raw)).created_at}
    row = frame.row(by_predicate=pl.col("image_id") == sha256_bytes(encode(draw(1))), named=True)
    assert [row[name] for name in NAMES] == pytest.approx(list(describe_image(draw(1))))
    assert {each.name: each.passed for each in made.summary.checks} == {
        "finite": True, "complete": True}


def test_group_is_of_what_was_known_at_the_time(home: Batches) -> None:
    first = home.take("first", [draw(4), draw(2)])
    second = home.take("second", [draw(4, brighter=1), draw(3)])
    twins = sorted(sha256_bytes(encode(each)) for each in (draw(4), draw(4, brighter=1)))
    before = home.read(first)
    assert before["near_duplicate_group"].to_list() == before["image_id"].to_list()
    after = dict(home.read(second).select("image_id", "near_duplicate_group").iter_rows())
    assert after[sha256_bytes(encode(draw(4, brighter=1)))] == twins[0]
    assert after[sha256_bytes(encode(draw(3)))] == sha256_bytes(encode(draw(3)))
    # Made again when more is known, an earlier batch stays as it was.
    assert home.gather("first").ref == first.ref


def test_the_same_inputs_give_the_same_bytes(home: Batches) -> None:
    made = home.take("first", [draw(1), draw(2)])
    for path in (home.store.root / ".steps").glob("*.json"):
        path.unlink()
    again = home.gather("first")
    assert not again.reused
    assert again.ref == made.ref


def test_batch_of_an_earlier_release_says_what_to_make_again(home: Batches) -> None:
    home.take("first", [draw(1), draw(2)])
    folder = home.store.path(home.store.pin("embeddings", "first"))
    (folder / STATISTICS_FILE).unlink()
    with pytest.raises(StaleInput, match="materialize `embeddings` of every batch again"):
        _gather_unverified(home)
    hashes = home.store.path(home.store.pin("validated_images", "first")) / HASHES_FILE
    assert hashes.is_file()


def _gather_unverified(home: Batches) -> None:
    pins = {**{name: [ref] for name, ref in pin_known(home.store, "first").items()},
            "embeddings": [home.store.pin("embeddings", "first")]}
    with home.store.scratch() as folder:
        build_image_features(LIMITS.issues.near_rms, Workspace(
            home.store, "first", "run", pins, folder, "key"))


def test_a_dataset_made_again_as_it_was_has_the_later_time(home: Batches) -> None:
    def build(work: Workspace) -> None:
        (work.out("dataset") / "rows").write_bytes(b"the same")

    first = home.derived("dataset", {}, build)
    before = made_at(home.store, first.ref)
    second = home.derived("dataset", {}, build, seed=1)
    assert second.ref == first.ref
    assert before == first.record.created_at < made_at(home.store, second.ref)
