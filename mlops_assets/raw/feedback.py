"""Production as a source: images whose true label came later, for a batch of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import LABELS_FILE, PREDICTIONS_FILE, request_image
from mlops_assets.contracts.manifest import CLASSES_FILE, FEEDBACK_PREFIX
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.provenance.record import InputRef
from mlops_assets.raw.snapshot import read_batches
from mlops_assets.raw.sources import RawImage
from resources.store import ArtifactStore

READ: Final = ("prediction_log", "feedback_labels")
COLUMNS: Final = ["prediction_id", "image_sha256", "image_kept", "slot"]


class NoFeedback(PlatformError):
    """There is no labelled image of production that no batch has yet."""


def is_feedback(batch: str) -> bool:
    """Whether a batch comes from production."""
    return batch.startswith(FEEDBACK_PREFIX)


def pin_feedback(store: ArtifactStore, batch: str) -> dict[str, InputRef]:
    """What the batch is made from, by names of their own: the log, the labels, earlier batches.

    A batch that was made before is pinned to what it was made from, as it never changes.
    """
    made = store.current("raw_images", batch)
    if made is not None:
        refs = list(store.verify(made).inputs)
    else:
        refs = [ref for asset in READ for ref in store.pin_all(asset)]
        refs += [ref for ref in store.pin_all("raw_images") if ref.partition != batch]
    return {f"{ref.asset} {ref.partition}": ref for ref in refs}


@dataclass(slots=True)
class FeedbackSource:
    """The newest ``limit`` labelled images that are kept and stand in no earlier batch.

    ``folders`` are those of the pinned inputs by asset, ``images`` holds the kept bytes by their
    SHA-256. An image whose bytes are gone, or not what their name says, is left out and counted.
    """

    folders: dict[str, list[Path]]
    images: Path
    limit: int
    classes: tuple[str, ...] = field(init=False)
    gone: int = 0

    def __post_init__(self) -> None:
        classes: list[str] = []
        for folder in self.folders["raw_images"]:
            for name in json.loads((folder / CLASSES_FILE).read_bytes()):
                if name not in classes:
                    classes.append(name)
        self.classes = tuple(classes)

    def images_of(self) -> Iterator[RawImage]:
        """In the order of their predictions.

        Raises:
            NoFeedback: there is none.
        """
        chosen = choose(self._predictions(), self._labels(), self._known()).tail(self.limit)
        found = 0
        for prediction, sha256, truth in chosen.iter_rows():
            path = request_image(self.images, sha256)
            content = path.read_bytes() if path.is_file() else b""
            if sha256_bytes(content) != sha256:
                self.gone += 1
                continue
            found += 1
            yield RawImage(f"prediction/{prediction}", truth, "", content)
        if not found:
            raise NoFeedback(
                f"of {chosen.height} new labelled images none is kept in {self.images}; see "
                "MLOPS_SERVICE_KEEP_SHARE, and send true labels to /v1/feedback")

    def _predictions(self) -> pl.DataFrame:
        return _read(self.folders["prediction_log"], PREDICTIONS_FILE, COLUMNS)

    def _labels(self) -> pl.DataFrame:
        return _read(self.folders["feedback_labels"], LABELS_FILE, ["prediction_id", "label", "at"])

    def _known(self) -> set[str]:
        return {image for folder in self.folders["raw_images"]
                for batch in read_batches(folder, ["image_id"])
                for image in batch.column("image_id").to_pylist()}


def choose(predictions: pl.DataFrame, labels: pl.DataFrame, known: Iterable[str]) -> pl.DataFrame:
    """``prediction_id``, ``image_sha256`` and ``label`` of new labelled images, by prediction.

    The last label of a prediction counts. Of an image with several labelled predictions the last
    one stays; where their labels differ nobody knows, and the image is left out.
    """
    last = labels.sort("at", "label").unique("prediction_id", keep="last")
    joined = (predictions.filter(pl.col("image_kept") & (pl.col("slot") != "shadow"))
              .join(last, on="prediction_id", how="inner").sort("prediction_id"))
    agreed = joined.filter(pl.col("label").n_unique().over("image_sha256") == 1)
    return (agreed.filter(~pl.col("image_sha256").is_in(list(known)))
            .unique("image_sha256", keep="last", maintain_order=True)
            .select("prediction_id", "image_sha256", "label"))


def _read(folders: list[Path], file: str, columns: list[str]) -> pl.DataFrame:
    """Some columns of every hour; hours of before the log had them say nothing."""
    frames: list[Any] = []
    for folder in folders:
        table = pq.ParquetFile(folder / file)
        if set(columns) <= set(table.schema_arrow.names):
            frames.append(pl.from_arrow(table.read(columns)))
    if not frames:
        raise NoFeedback(f"no hour of production is in the graph yet ({file})")
    found: pl.DataFrame = pl.concat(frames)
    return found
