"""What is odd about good images: dark, bright, blurred, empty, long, or nearly the same twice.

Such images stay in the dataset; a person looks at them. The kinds, and the idea to score each by
one number against one threshold, are CleanVision's (Cleanlab, 2022); perceptual hashes are of the
lowest frequencies of a 32 x 32 grey image (Zauner 2010, *Implementation and Benchmarking of
Perceptual Image Hash Functions*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.config import IssueLimits

# Larger images are looked at in this size: what is asked for shows in it.
SIDE: Final = 256
HASH_SIDE: Final = 32
LOW: Final = 8
MIDDLE: Final = LOW * LOW // 2 - 1
FLIPPED: Final = 3
BLOCK: Final = 1024
# Below this deviation an image has too little in it for its hash to tell it from others.
LEAST_STD: Final = 4.0


@dataclass(frozen=True, slots=True)
class Look:
    """Numbers of one image.

    ``brightest`` and ``darkest`` are the 99th and 5th percentile of grey, 0 to 1; ``entropy`` is of
    its grey levels, in bits; ``sharpness`` is the deviation of its Laplacian over that of its grey;
    ``aspect`` is the short side over the long one; ``phash`` 64 bits, None of an image that is
    nearly constant.
    """

    brightest: float
    darkest: float
    entropy: float
    sharpness: float
    aspect: float
    phash: int | None


LOOK_SCHEMA: Final = {
    "brightest": pl.Float64, "darkest": pl.Float64, "entropy": pl.Float64,
    "sharpness": pl.Float64, "aspect": pl.Float64, "phash": pl.UInt64}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is odd about one image; ``score`` is what the threshold was compared with."""

    kind: str
    score: float
    detail: str


def within_side(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image, uint8 ``[H, W]``, shrunk so that neither side is longer than ``SIDE``."""
    height, width = grey.shape
    longest = max(height, width)
    if longest <= SIDE:
        return grey
    return shrink(grey, max(1, width * SIDE // longest), max(1, height * SIDE // longest))


def shrink(grey: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Means of areas of an image, uint8 ``[H, W]``; about ten times as fast as one step of them.

    Halved while it can be, which OpenCV does with vectors, and then interpolated. An odd last row
    or column is left out when it is halved.
    """
    while grey.shape[0] >= 2 * height and grey.shape[1] >= 2 * width:
        rows, columns = grey.shape[0] // 2, grey.shape[1] // 2
        grey = np.asarray(cv2.resize(grey[: 2 * rows, : 2 * columns], (columns, rows),
                                     interpolation=cv2.INTER_AREA), np.uint8)
    if grey.shape == (height, width):
        return grey
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def look_at(grey: NDArray[np.uint8]) -> Look:
    """The numbers of an image, uint8 ``[H, W]``."""
    height, width = grey.shape
    longest = max(height, width)
    small = within_side(grey)
    counts = cv2.calcHist([small], [0], None, [256], [0, 256]).reshape(-1)
    below = counts.cumsum()
    filled = counts[counts > 0]
    deviation = float(cv2.meanStdDev(small)[1][0, 0])
    edges = float(cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))[1][0, 0])
    return Look(
        brightest=float(below.searchsorted(0.99 * small.size)) / 255,
        darkest=float(below.searchsorted(0.05 * small.size)) / 255,
        entropy=float(np.log2(small.size) - (filled @ np.log2(filled)) / small.size),
        sharpness=edges / max(deviation, 1e-6),
        aspect=min(height, width) / longest,
        phash=_hash(small) if deviation >= LEAST_STD else None,
    )


def _hash(grey: NDArray[np.uint8]) -> int:
    """64 bits: whether each of the lowest 8 x 8 frequencies lies above their median."""
    tile = shrink(grey, HASH_SIDE, HASH_SIDE)
    low = cv2.dct(tile.astype(np.float32))[:LOW, :LOW].reshape(-1)
    return int.from_bytes(np.packbits(low > np.sort(low[1:])[MIDDLE]).tobytes())


def issues_of(look: Look, limits: IssueLimits) -> list[Issue]:
    """What one image by itself is odd in."""
    found = [
        ("dark", look.brightest, look.brightest < limits.dark,
         f"99 % of it is darker than {look.brightest:.2f}"),
        ("bright", look.darkest, look.darkest > limits.bright,
         f"95 % of it is brighter than {look.darkest:.2f}"),
        ("low-information", look.entropy, look.entropy < limits.entropy,
         f"{look.entropy:.2f} bits a pixel"),
        ("blurry", look.sharpness, look.sharpness < limits.sharpness,
         f"edges of {look.sharpness:.3f} of its contrast"),
        ("odd-aspect", look.aspect, look.aspect < limits.aspect,
         f"its short side is {look.aspect:.2f} of the long one"),
    ]
    return [Issue(kind, score, detail) for kind, score, odd, detail in found if odd]


def near_duplicates(
    hashes: NDArray[np.uint64], rows: NDArray[np.int64], thumbnails: NDArray[np.uint8], rms: float
) -> dict[int, int]:
    """For each image that nearly equals an earlier one, the row of the first such.

    Hashes ``[N]`` at most ``FLIPPED`` bits apart propose, and thumbnails at most ``rms`` grey
    levels apart (root mean square) confirm, so that images that only have the same composition are
    left alone; ``rows`` ``[N]`` are those of the hashes in ``thumbnails`` ``[M, 256]``, ascending.
    Two such hashes have one of their four quarters in common (Manku et al. 2007).
    """
    places = np.arange(len(hashes))
    first = places.copy()
    for quarter in hashes.view(np.uint16).reshape(-1, 4).T:
        order = np.argsort(quarter, kind="stable")
        ends = np.flatnonzero(np.diff(quarter[order])) + 1
        for group in np.split(order, ends):
            if len(group) > 1:
                _join(group, hashes, rows, thumbnails, rms, first)
    return {int(rows[place]): int(rows[first[place]])
            for place in np.flatnonzero(first < places)}


def _join(
    group: NDArray[np.int64], values: NDArray[np.uint64], images: NDArray[np.int64],
    pixels: NDArray[np.uint8], rms: float, first: NDArray[np.int64],
) -> None:
    """Lower ``first`` of each image of a group, in ascending order, to the first it equals."""
    for start in range(0, len(group), BLOCK):
        for begin in range(0, start + 1, BLOCK):
            # Of images that equal an earlier one, only that one is compared with.
            rows = _alone(group[start : start + BLOCK], first)
            before = _alone(group[begin : begin + BLOCK], first)
            apart = np.bitwise_count(values[rows][:, None] ^ values[before][None, :])
            later, earlier = np.nonzero(apart <= FLIPPED)
            mine, other = rows[later], before[earlier]
            mine, other = mine[other < mine], other[other < mine]
            for at in range(0, len(mine), BLOCK):
                pair = slice(at, at + BLOCK)
                gap = pixels[images[mine[pair]]].astype(np.float32) - pixels[images[other[pair]]]
                near = np.sqrt((gap * gap).mean(axis=1)) <= rms
                np.minimum.at(first, mine[pair][near], other[pair][near])


def _alone(rows: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = rows[first[rows] == rows]
    return found


def list_issues(
    images: pl.DataFrame, looks: pl.DataFrame, thumbnails: NDArray[np.uint8], limits: IssueLimits
) -> list[dict[str, Any]]:
    """A row for each issue of good images: id, source, label, kind, score, detail.

    The rows of ``images`` (id, source, label), ``looks`` (``LOOK_SCHEMA``) and ``thumbnails``
    ``[N, 256]`` are of the same images.
    """
    named = images.select("image_id", "source", "label")
    odd = looks.with_row_index("row").filter(
        (pl.col("brightest") < limits.dark) | (pl.col("darkest") > limits.bright)
        | (pl.col("entropy") < limits.entropy) | (pl.col("sharpness") < limits.sharpness)
        | (pl.col("aspect") < limits.aspect))
    found = []
    for row, *numbers in odd.select("row", *LOOK_SCHEMA).iter_rows():
        found += [_row(named.row(row), issue) for issue in issues_of(Look(*numbers), limits)]
    hashed = looks["phash"].is_not_null().arg_true().cast(pl.Int64).to_numpy()
    twins = near_duplicates(
        looks["phash"].drop_nulls().to_numpy(), hashed, thumbnails, limits.near_rms)
    for later, earlier in twins.items():
        image, other = named.row(later), named.row(earlier)
        same = image[2] == other[2]
        labels = "" if same else f", which is called {other[2]}"
        found.append(_row(image, Issue(
            "near-duplicate" if same else "near-duplicate-other-label", 0.0,
            f"nearly equals {other[1]}{labels}")))
    return sorted(found, key=lambda row: (row["kind"], row["score"], row["source"]))


def _row(image: tuple[Any, ...], issue: Issue) -> dict[str, Any]:
    image_id, source, label = image
    return {"image_id": image_id, "source": source, "label": label,
            "kind": issue.kind, "score": issue.score, "detail": issue.detail}
