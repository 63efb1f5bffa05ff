"""Bring an official image dataset below a folder, laid out as torchvision expects it.

Every file is checked against the hash published for it, and appears under its name only whole.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.raw.download import (
    DownloadError,
    download_by_torchvision,
    unpack_debian_package,
)

Log = Callable[[str], None]

DEBIAN_DIR: Final = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE: Final = "dataset-fashion-mnist"


class FetchError(PlatformError):
    """No source gave the dataset; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where torchvision keeps a dataset, and ``file name -> algorithm:hash`` of its content."""

    folder: str
    files: Mapping[str, str]


DATASETS: Final[dict[str, Dataset]] = {
    "FashionMNIST": Dataset("FashionMNIST/raw", {
        "train-images-idx3-ubyte":
            "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte":
            "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte":
            "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte":
            "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }),
    "MNIST": Dataset("MNIST/raw", {
        "train-images-idx3-ubyte":
            "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte":
            "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte":
            "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte":
            "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }),
    "CIFAR10": Dataset("cifar-10-batches-py", {
        "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
        "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
        "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "md5:40351d587109b95175f43aff81a1287e",
        "batches.meta": "md5:5ff9c542aee3614f3951f8cda6e48888",
    }),
}

def _matches(content: Path, expected: str) -> bool:
    algorithm, _, digest = expected.partition(":")
    with content.open("rb") as file:
        made = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return made.hexdigest() == digest


def _fault(folder: Path, dataset: Dataset) -> str | None:
    """What keeps ``folder`` from being the whole dataset, or None when every hash fits."""
    for name, expected in dataset.files.items():
        if not (folder / name).is_file():
            return f"{folder / name} is not there"
        if not _matches(folder / name, expected):
            return f"{folder / name} does not match its {expected.partition(':')[0]}"
    return None


def _adopt(source: Path, target: Path, dataset: Dataset) -> None:
    """Copy or unpack every file of ``source`` into ``target``, checked before it gets its name.

    Raises:
        DownloadError: a file is missing or damaged.
    """
    for name, expected in dataset.files.items():
        packed = source / f"{name}.gz"
        found = packed if packed.is_file() else source / name
        if not found.is_file():
            raise DownloadError(f"{packed} is not there")
        descriptor, temporary = tempfile.mkstemp(dir=target, prefix=f".{name}.")
        try:
            with (
                (gzip.open(found) if found == packed else found.open("rb")) as reader,
                os.fdopen(descriptor, "wb") as writer,
            ):
                shutil.copyfileobj(reader, writer, 1 << 20)
                writer.flush()
                os.fsync(writer.fileno())
            if not _matches(Path(temporary), expected):
                raise DownloadError(f"{found} does not have the published content")
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target / name)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DownloadError(f"{found} is damaged: {error}") from error
        finally:
            Path(temporary).unlink(missing_ok=True)


def _download(name: str, target: Path, dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory(dir=target, prefix=".download-") as scratch:
        folder = Path(scratch, "data")
        folder.mkdir()
        download_by_torchvision(name, folder)
        _adopt(folder / dataset.folder, target, dataset)


def _unpack(target: Path, dataset: Dataset, log: Log) -> None:
    with tempfile.TemporaryDirectory(prefix="mlops-fetch-") as scratch:
        folder = Path(scratch, "package")
        folder.mkdir()
        unpack_debian_package(DEBIAN_PACKAGE, folder, log)
        _adopt(folder / DEBIAN_DIR.relative_to("/"), target, dataset)


def fetch_dataset(name: str, root: Path, *, log: Log, debian_dir: Path = DEBIAN_DIR) -> Path:
    """Make a dataset available below ``root`` and return the folder that holds its files.

    What is there already is only checked. Otherwise, in order: packed files in that folder, for
    Fashion-MNIST the Debian folder, torchvision's mirrors, and for Fashion-MNIST the Debian
    package, unpacked without root. ``log`` gets one line a step.

    Raises:
        FetchError: an unknown name, or every source failed.
    """
    if name not in DATASETS:
        raise FetchError(f"there is no dataset `{name}`; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    target = root / dataset.folder
    fault = _fault(target, dataset)
    if fault is None:
        log(f"{name}: already in {target}")
        return target
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"can not make {target}: {error.strerror}; choose another root") from error
    debian = name == "FashionMNIST"
    sources: list[tuple[str, Callable[[], None]]] = [
        (f"files in {target}", lambda: _adopt(target, target, dataset)),
        (f"{debian_dir}", lambda: _adopt(debian_dir, target, dataset)),
        ("torchvision's mirrors", lambda: _download(name, target, dataset)),
        (f"Debian package {DEBIAN_PACKAGE}", lambda: _unpack(target, dataset, log)),
    ]
    reason = fault
    for place, take in sources if debian else sources[::2]:
        log(f"{name}: {reason}; trying {place}")
        try:
            take()
        except DownloadError as failure:
            reason = f"{place} failed: {failure}"
        except OSError as error:
            reason = f"{place} failed: {error.strerror or error} ({error.filename or target})"
        else:
            log(f"{name}: took it from {place} to {target}")
            return target
    package = f"`apt-get install {DEBIAN_PACKAGE}`, " if debian else ""
    raise FetchError(
        f"{name} could not be had; last, {reason}. To mend: {package}put its files in {target}, "
        "or check the network"
    )
