"""Sources of labelled images. Each gives its classes and its images in a fixed order.

Folders and manifests are in ``labelled``; here are what they have in common, and torchvision's.
"""

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

    @property
    def left_out(self) -> int:
        """Files below the root that the source does not take for images."""

    def images(self) -> Iterator[RawImage]:
        """Every image, in an order that depends on the content alone."""


class TorchvisionSource:
    """A torchvision dataset on disk; its pixels are encoded as PNG, which loses nothing.

    ``limit`` keeps the first images of the official training part; the test part stays whole.

    Raises:
        SourceError: the files are not below ``root``.
    """

    def __init__(self, name: str, root: Path, limit: int | None = None) -> None:
        from torchvision import datasets

        self.name, self.limit, self.left_out = name, limit, 0
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
        yield from self._part("train", 0, self.limit)
        yield from self._part("test", 0, None)

    def beyond(self) -> Iterator[RawImage]:
        """Images of the training part past ``limit``, which no snapshot has."""
        if self.limit is not None:
            yield from self._part("train", self.limit, None)

    def _part(self, part: str, start: int, stop: int | None) -> Iterator[RawImage]:
        dataset, classes = self._parts[part], self.classes
        pixels = dataset.data if isinstance(dataset.data, np.ndarray) else dataset.data.numpy()
        for index in range(start, min(stop or len(pixels), len(pixels))):
            image = pixels[index]
            if image.ndim == 3:
                image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            content = cv2.imencode(".png", image)[1].tobytes()
            label = classes[int(dataset.targets[index])]
            yield RawImage(f"{self.name}/{part}/{index:06d}.png", label, part, content)
