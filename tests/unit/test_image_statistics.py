"""Image statistics against the same numbers written out with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_assets.contracts.image_statistics import NAMES, describe_image, describe_images


def by_hand(image: NDArray[np.uint8]) -> list[float]:
    grey = image.astype(np.int64)
    steps = np.concatenate([np.abs(np.diff(grey, axis=axis)).ravel() for axis in (0, 1)])
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    bend = np.abs(4 * grey[1:-1, 1:-1] - around).mean()
    return [image.mean(), image.std(), steps.mean(), (steps == 0).mean(),
            ((steps > 0) & (steps <= 3)).mean(), bend / (1 + steps.mean())]


@pytest.mark.parametrize("shape", [(28, 28, 1), (7, 40, 3), (3, 3, 1)])
def test_statistics_are_what_they_say(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    images = np.stack([rng.integers(0, high, shape, dtype=np.uint8) for high in (4, 30, 256)])
    found = describe_images(images)
    for row, image in enumerate(images):
        assert [found[name][row] for name in NAMES] == pytest.approx(by_hand(image), rel=1e-5)


def test_a_line_of_pixels_has_no_texture() -> None:
    assert describe_image(np.full((1, 9, 1), 7, np.uint8)) == (7.0, 0.0, 0.0, 0.0, 0.0, 0.0)
