"""Real images and their labels, sent to the service as its clients would send them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.prediction import Answer
from resources.journal import KEY_FORMAT
from resources.service_api import ServiceApi
from resources.store import open_store

if TYPE_CHECKING:
    from mlops_assets.config import Settings

CONNECTIONS: Final = 8
# Enough to choose from; a folder of photographs need not be read to its end.
MAX_CANDIDATES: Final = 5_000
HELD_OUT: Final = "test"


class TrafficError(PlatformError):
    """There are no images to send."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One encoded image and its true class."""

    content: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was sent and answered: the answers in the order of the images."""

    images: tuple[LabelledImage, ...]
    answers: tuple[Answer, ...]
    began: datetime
    ended: datetime

    @property
    def accuracy(self) -> float:
        """Share of the answers that are right."""
        pairs = zip(self.images, self.answers, strict=True)
        return sum(image.label == answer.label for image, answer in pairs) / len(self.images)

    @property
    def hours(self) -> list[str]:
        """Keys of the hourly partitions (UTC) that hold these predictions."""
        hour = self.began.replace(minute=0, second=0, microsecond=0)
        keys = []
        while hour <= self.ended:
            keys.append(hour.strftime(KEY_FORMAT))
            hour += timedelta(hours=1)
        return keys


def sample_images(home: Path, batch: str, count: int) -> tuple[LabelledImage, ...]:
    """Evenly spaced images of a batch's snapshot: of its official test part, if it has one.

    Raises:
        MissingArtifact: the batch has no snapshot.
        TrafficError: the snapshot is empty.
    """
    import pyarrow.compute as pc

    from mlops_assets.raw.snapshot import read_batches

    store = open_store(home)
    folder = store.path(store.pin("raw_images", batch))
    held_out: list[LabelledImage] = []
    others: list[LabelledImage] = []
    for rows in read_batches(folder, ["label", "origin_split", "content"]):
        tested = pc.equal(rows["origin_split"], HELD_OUT)
        for kept, mask in ((held_out, tested), (others, pc.invert(tested))):
            part = rows.filter(mask)
            if not part.num_rows:
                continue
            step = max(1, part.num_rows // count)
            some = part.take(list(range(0, part.num_rows, step)))
            pairs = zip(some["content"].to_pylist(), some["label"].to_pylist(), strict=True)
            kept.extend(LabelledImage(content, label) for content, label in pairs)
        if len(held_out) >= MAX_CANDIDATES or (len(others) >= MAX_CANDIDATES and not held_out):
            break
    images = held_out or others
    if not images:
        raise TrafficError(f"the snapshot of batch `{batch}` in {folder} has no image")
    step = max(1, len(images) // count)
    return tuple(images[::step][:count])


def unseen_images(settings: Settings, count: int) -> tuple[LabelledImage, ...]:
    """Images that no model was trained or tested on, else those of the official test part.

    A dataset with a ``limit`` has more images than the first batch took.

    Raises:
        MissingArtifact, TrafficError: as for ``sample_images``.
    """
    from mlops_assets.raw.sources import TorchvisionSource

    dataset = settings.dataset
    if dataset.source == "torchvision" and dataset.limit is not None:
        source = TorchvisionSource(dataset.name, dataset.path, dataset.limit)
        found = tuple(LabelledImage(image.content, image.label)
                      for image in islice(source.beyond(), count))
        if found:
            return found
    return sample_images(settings.home, dataset.batch, count)


def send_traffic(api: ServiceApi, images: Sequence[LabelledImage]) -> Traffic:
    """Send every image, several at a time.

    Raises:
        ServiceError: the first request that fails.
    """
    began = datetime.now(UTC)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = tuple(pool.map(api.predict, [image.content for image in images]))
    return Traffic(tuple(images), answers, began, datetime.now(UTC))


def send_labels(api: ServiceApi, traffic: Traffic) -> None:
    """Send the true label of each prediction, as labels come in later in production.

    Raises:
        ServiceError: the first request that fails.
    """
    ids = [answer.prediction_id for answer in traffic.answers]
    labels = [image.label for image in traffic.images]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(api.feedback, ids, labels))
