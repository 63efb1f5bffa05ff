"""Sources of labelled images. Each gives its classes and its images in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from mlops_assets.contracts.errors import PlatformError


class SourceError(PlatformError):
    """The source is missing, empty or not laid out as it should be."""


@dataclass(frozen=True, slots=True)
class RawImage:
    """One labelled image as its source holds it; ``content`` is the encoded file."""

    source: str
    label: str
    origin_split: str
    content: bytes


class Source(Protocol):
    """A place that labelled images come from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Known classes, in the order of the model's outputs."""

    def images(self) -> Iterator[RawImage]:
        """Every image, in an order that depends on the content alone."""


class ImageFolder:
    """``root/<class>/*``: every plain file below a class folder is an image of that class.

    Hidden files are left out. A file that is no image is passed on: validation says so.

    Raises:
        SourceError: no such folder, no class folders, or a class without a file.
    """

    def __init__(self, root: Path, classes: tuple[str, ...] | None = None) -> None:
        self.root = root
        if not root.is_dir():
            raise SourceError(f"there is no folder {root}; set `root` in configs/dataset.yaml")
        folders = sorted(
            path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
        if len(folders) < 2:
            raise SourceError(
                f"{root} has {len(folders)} class folders; lay the images out as "
                f"{root}/<class>/<file>, with at least two classes"
            )
        self._files = {folder.name: self._list(folder) for folder in folders}
        for name, files in self._files.items():
            if not files:
                raise SourceError(f"class folder {root / name} has no file; fill it or remove it")
        self._classes = classes or tuple(folder.name for folder in folders)

    @staticmethod
    def _list(folder: Path) -> list[Path]:
        return sorted(
            path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The configured classes, or the names of the class folders, sorted."""
        return self._classes

    def images(self) -> Iterator[RawImage]:
        """Files by class, then by path, with their bytes as they are."""
        for label, files in self._files.items():
            for path in files:
                source = path.relative_to(self.root).as_posix()
                yield RawImage(source, label, "", path.read_bytes())


class TorchvisionSource:
    """A torchvision dataset on disk; its pixels are encoded as PNG, which loses nothing.

    ``limit`` keeps the first images of the official training part; the test part stays whole.

    Raises:
        SourceError: the files are not below ``root``.
    """

    def __init__(self, name: str, root: Path, limit: int | None = None) -> None:
        from torchvision import datasets

        self.name, self.limit = name, limit
        try:
            build = getattr(datasets, name)
            self._parts: dict[str, Any] = {
                part: build(str(root), train=part == "train", download=False)
                for part in ("train", "test")
            }
        except RuntimeError as error:
            raise SourceError(
                f"{name} is not below {root} or is damaged; run `mlops data fetch`"
            ) from error

    @property
    def classes(self) -> tuple[str, ...]:
        """The dataset's own classes, with ``/`` replaced so that a class can name a folder."""
        names: list[str] = self._parts["train"].classes
        return tuple(name.replace("/", "-") for name in names)

    def images(self) -> Iterator[RawImage]:
        """The training part, then the test part, each in its own order."""
        classes = self.classes
        for part, dataset in self._parts.items():
            pixels, targets = dataset.data, [int(target) for target in dataset.targets]
            pixels = pixels if isinstance(pixels, np.ndarray) else pixels.numpy()
            count = len(pixels) if part == "test" else min(self.limit or len(pixels), len(pixels))
            for index in range(count):
                image = pixels[index]
                if image.ndim == 3:
                    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
                content = cv2.imencode(".png", image)[1].tobytes()
                label = classes[targets[index]]
                yield RawImage(f"{self.name}/{part}/{index:06d}.png", label, part, content)


def open_source(
    kind: str, name: str, root: Path, *, limit: int | None, classes: tuple[str, ...] | None
) -> Source:
    """The source that ``configs/dataset.yaml`` names; ``kind`` is its ``source`` key."""
    if kind == "image_folder":
        return ImageFolder(root, classes)
    return TorchvisionSource(name, root, limit)
