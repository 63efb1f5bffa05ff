"""A split that stays encoded gives the pixels, and the model, that a decoded one gives."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_assets.config import TrainingSettings
from mlops_assets.contracts.pixels import PixelSpec, UndecodableImage
from mlops_assets.features.encoded import EncodedImages, EncodedWriter, blob_file
from mlops_assets.features.shards import read_shard
from mlops_assets.models.batches import channel_moments, epoch_order, gather_batches
from mlops_assets.provenance.hashing import digest_files
from tests.shards import write_shards

SPLITS = ("train", "validation", "test")


def encode(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same shards decoded, and encoded in another order than that of the rows."""
    decoded = write_shards(tmp_path_factory.mktemp("decoded"))
    encoded = write_shards(tmp_path_factory.mktemp("encoded"))
    rng = np.random.default_rng(0)
    for split in SPLITS:
        images = np.load(encoded / f"{split}-images.npy")
        (encoded / f"{split}-images.npy").unlink()
        with EncodedWriter(encoded, split, len(images),
                           PixelSpec(height=8, width=8, channels=1)) as writer:
            for row in rng.permutation(len(images)):
                writer.write(int(row), encode(images[row]))
    return decoded, encoded


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_the_same_however_they_are_taken(both: tuple[Path, Path], split: str) -> None:
    plain, encoded = (read_shard(folder, split) for folder in both)  # type: ignore[arg-type]
    assert isinstance(encoded.images, EncodedImages)
    assert (encoded.images.shape, len(encoded.images)) == (plain.images.shape, len(plain.images))
    for key in (3, np.int64(5), slice(None, 7), slice(2, 90, 3), np.array([5, 1, 1]),
                np.arange(len(plain.images)) % 2 == 0, slice(None)):
        np.testing.assert_array_equal(encoded.images[key], plain.images[key])
    np.testing.assert_array_equal(np.asarray(encoded.images), plain.images)
    assert channel_moments(encoded.images) == channel_moments(plain.images)


def test_batches_are_decoded_ahead_in_order(both: tuple[Path, Path]) -> None:
    plain, encoded = (read_shard(folder, "train") for folder in both)
    order = epoch_order(plain.batches, 1.0, 0, 0)
    for rank in range(2):
        for (a, b), (c, d) in zip(gather_batches(plain, order, 64, rank=rank, size=2),
                                  gather_batches(encoded, order, 64, rank=rank, size=2),
                                  strict=True):
            assert a.equal(c)
            assert b.equal(d)


def test_training_gives_the_same_model(both: tuple[Path, Path], tmp_path: Path) -> None:
    from mlops_assets.models.training import train

    settings = TrainingSettings(model="test_byobnet", epochs=2, batch_size=64, flip=True, shift=1,
                                device="cpu", threads=1)
    digests = []
    for number, shards in enumerate(both):
        out = tmp_path / str(number)
        out.mkdir()
        train(settings, shards, out, tmp_path / f"checkpoints-{number}",
              lambda epoch, seconds: None)
        digests.append(digest_files(out))
    assert digests[0] == digests[1]


def test_damaged_bytes_are_an_error_and_not_pixels(tmp_path: Path) -> None:
    pixels = PixelSpec(height=8, width=8, channels=1)
    with EncodedWriter(tmp_path, "train", 2, pixels) as writer:
        for row in range(2):
            writer.write(row, encode(np.full((8, 8), 7, np.uint8)))
    blob = tmp_path / blob_file("train")
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(UndecodableImage):
        EncodedImages(tmp_path, "train")[np.array([0, 1])]


def test_an_empty_split_has_its_shape(tmp_path: Path) -> None:
    with EncodedWriter(tmp_path, "test", 0, PixelSpec(height=8, width=8, channels=3)):
        pass
    found = EncodedImages(tmp_path, "test")
    assert (found.shape, found[:].shape) == ((0, 8, 8, 3), (0, 8, 8, 3))
