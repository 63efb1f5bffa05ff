"""The images of one request as they are found, within limits that hold before bytes are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bentos.problems import Problem

MAX_NAME: Final = 1024


def show(name: str) -> str:
    """A stranger's name as it may stand in an error and a log: short, and on one line."""
    return "".join(each if each.isprintable() else "?" for each in name[:80])


@dataclass(frozen=True, slots=True)
class Limits:
    """Most images, most bytes of all images together, most bytes of one; all after unpacking."""

    images: int
    total_bytes: int
    image_bytes: int


@dataclass(slots=True)
class Collected:
    """Images with the names that their sender gave them, in its order.

    Of equal names, later ones get ``#2``, ``#3`` and so on; an image without a name is called by
    its place.
    """

    limits: Limits
    images: list[tuple[str, bytes]] = field(default_factory=list)
    _bytes: int = 0
    _names: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, size: int, read: Callable[[], bytes]) -> None:
        """Keep an image of ``size`` bytes, which ``read`` makes when it fits.

        Raises:
            Problem: 413 too many images or bytes, 422 a name that is too long.
        """
        limits, shown = self.limits, show(name) or f"image {len(self.images)}"
        if len(name) > MAX_NAME:
            raise Problem(422, "name-too-long", f"`{shown}` is longer than {MAX_NAME} characters")
        if len(self.images) >= limits.images:
            raise Problem(413, "too-many-images",
                          f"there are more than {limits.images} images; send several requests")
        if size > limits.image_bytes:
            raise Problem(413, "image-too-large", f"`{shown}` has {size} bytes; the limit for an "
                                                  f"image is {limits.image_bytes}")
        if self._bytes + size > limits.total_bytes:
            raise Problem(413, "bundle-too-large", f"from `{shown}` on, the images exceed "
                                                   f"{limits.total_bytes} bytes together")
        self._bytes += size
        self.images.append((self._own_name(name or str(len(self.images))), read()))

    def _own_name(self, name: str) -> str:
        unique = name
        while unique in self._names:
            self._names[name] += 1
            unique = f"{name}#{self._names[name]}"
        self._names[unique] = 1
        return unique
