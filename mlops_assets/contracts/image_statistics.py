"""What an image's pixels look like, in six numbers: the view of drift that no model has.

The service, the reference and the benchmarks call the same function, so the numbers compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

FAINT: Final = 3
LEAST_SIDE: Final = 3


class ImageStatistics(NamedTuple):
    """Of one image; the first two in grey levels 0-255.

    ``roughness`` is the mean difference of neighbours in grey levels, ``flatness`` the share of
    equal neighbours, ``faintness`` that of neighbours 1 to 3 grey levels apart (a sensor's noise),
    ``sharpness`` the mean absolute Laplacian in units of the roughness (resampling lowers it).
    """

    pixel_mean: float
    pixel_std: float
    roughness: float
    flatness: float
    faintness: float
    sharpness: float


NAMES: Final = ImageStatistics._fields
TEXTURE: Final = NAMES[2:]


def describe_image(image: NDArray[np.uint8]) -> ImageStatistics:
    """Statistics of one image, uint8 ``[H, W, C]``, over all channels alike.

    Neighbours are beside or below each other. Below 3 pixels a side there is no texture: it is 0.
    """
    height, width, channels = image.shape
    # OpenCV's calls cost a microsecond each; a dozen of NumPy's would hold up a lone request.
    mean, deviation = cv2.meanStdDev(image.reshape(-1))
    if min(height, width) < LEAST_SIDE:
        return ImageStatistics(mean.item(), deviation.item(), 0.0, 0.0, 0.0, 0.0)
    flat = image.reshape(height, width * channels)
    beside = cv2.absdiff(flat[:, channels:], flat[:, :-channels])
    below = cv2.absdiff(flat[1:], flat[:-1])
    steps = beside.size + below.size
    moved = cv2.countNonZero(beside) + cv2.countNonZero(below)
    far = sum(cv2.countNonZero(cv2.threshold(each, FAINT, 255, cv2.THRESH_BINARY)[1])
              for each in (beside, below))
    roughness = (cv2.norm(beside, cv2.NORM_L1) + cv2.norm(below, cv2.NORM_L1)) / steps
    bend = cv2.Laplacian(image, cv2.CV_16S).reshape(height, -1)[1:-1, channels:-channels]
    return ImageStatistics(
        mean.item(), deviation.item(), roughness, 1 - moved / steps, (moved - far) / steps,
        cv2.norm(bend, cv2.NORM_L1) / bend.size / (1 + roughness),
    )


def describe_images(images: Iterable[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
    """Name to float32 ``[N]``, of ``N`` images."""
    rows = np.array([describe_image(image) for image in images], np.float32)
    return dict(zip(NAMES, rows.reshape(-1, len(NAMES)).T, strict=True))
