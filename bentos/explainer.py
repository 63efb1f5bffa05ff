"""Which pixels an answer rests on, by three methods, without torch.

``gradcam`` (Selvaraju et al. 2017) runs the gradient program that the model carries; it is one
run, and as coarse as the feature map it looks at. ``occlusion`` (Zeiler & Fergus 2014) covers
patches and watches the probability; it needs nothing but answers. ``shap`` (Kernel SHAP, Lundberg
& Lee 2017) shares the difference from a blurred image out among the cells of a grid.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bentos.overlay import overlay
from bentos.sessions import ModelRefused, open_session
from bentos.shapley import Masks, Values, kernel_shap
from mlops_assets.contracts.model_card import EXPLAIN_FILE, ModelCard
from mlops_assets.provenance.hashing import sha256_file

__all__ = ["Background", "Explainer", "Method", "overlay"]

Method = Literal["gradcam", "occlusion", "shap"]
Background = Literal["blur", "mean"]
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Predict = Callable[[Pixels], tuple[Floats, Floats]]

BATCH: Final = 32
PATCH_SHARE: Final = 0.2
POSITIONS: Final = 12
CELLS: Final = 7
SAMPLES: Final = 1024


class Explainer:
    """Explains one model's answers. Its methods may be called from several threads."""

    def __init__(
        self, folder: Path, card: ModelCard, predict: Predict, *, threads: int = 1
    ) -> None:
        """``predict`` gives probabilities ``[N, K]`` and embeddings of uint8 ``[N, H, W, C]``.

        ``threads`` are those of the gradient program, which is loaded when first asked for.
        """
        self.card: Final = card
        self._folder: Final = folder
        self._predict: Final = predict
        self._threads: Final = threads
        self._loading: Final = threading.Lock()
        self._program: Any = None

    def method_for(self, asked: Method) -> Method:
        """The method that ``heat`` uses: without a gradient program ``gradcam`` is occlusion."""
        return "occlusion" if asked == "gradcam" and self.card.explain != "gradcam" else asked

    def heat(
        self, pixels: Pixels, target: int, method: Method = "gradcam", *,
        background: Background = "blur", samples: int = SAMPLES, seed: int = 0,
    ) -> Floats:
        """How much each pixel speaks for class ``target``: float32 ``[H, W]``.

        ``gradcam``: 0 to 1, the largest value is 1; all 0 when nothing speaks for the class.
        ``occlusion``: the mean loss of probability while the pixel was covered, -1 to 1.
        ``shap``: the pixel's part of ``p(image) - p(background)``, to which the map sums up;
        ``samples`` is how often the model is asked, ``seed`` which coalitions of cells are drawn.
        The last two may be negative: there the image speaks against the class.

        Args:
            pixels: uint8 ``[H, W, C]`` of the card's shape.
            target: index into the card's classes.
            method: see ``method_for``.
            background: what covers a part: the image blurred beyond recognition, or its mean.
            samples: of ``shap`` alone.
            seed: of ``shap`` alone.

        Raises:
            ValueError: other pixels, or no such class.
            ModelRefused: the gradient program is not the card's or does not load.
        """
        if pixels.dtype != np.uint8 or pixels.shape != self.card.pixels.shape:
            raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 "
                             f"{self.card.pixels.shape}")
        if not 0 <= target < len(self.card.classes):
            raise ValueError(f"there is no class {target}; there are {len(self.card.classes)}")
        match self.method_for(method):
            case "gradcam":
                return self._grad_cam(pixels, target)
            case "occlusion":
                return self._occlusion(pixels, target, cover(pixels, background))
            case "shap":
                behind = cover(pixels, background)
                return self._shap(pixels, target, behind, samples=samples, seed=seed)

    def _grad_cam(self, pixels: Pixels, target: int) -> Floats:
        given = {"images": pixels[None], "target": np.array([target], np.int64)}
        heat: Floats = self._session().run(["heat"], given)[0][0]
        height, width = pixels.shape[:2]
        enlarged = np.asarray(cv2.resize(heat, (width, height)), np.float32)
        return enlarged / (float(enlarged.max()) or 1.0)

    def _session(self) -> Any:
        with self._loading:
            if self._program is None:
                path = self._folder / EXPLAIN_FILE
                found = sha256_file(path) if path.is_file() else "missing"
                if found != self.card.explain_sha256:
                    raise ModelRefused(f"{path} has SHA-256 {found}, its card says "
                                       f"{self.card.explain_sha256}")
                self._program = open_session(path, self._threads)
            return self._program

    def _occlusion(self, pixels: Pixels, target: int, behind: Pixels) -> Floats:
        patches = list(_patches(*pixels.shape[:2]))

        def covered(start: int, end: int) -> Pixels:
            images = np.repeat(pixels[None], end - start, axis=0)
            for image, patch in zip(images, patches[start:end], strict=True):
                image[patch] = behind[patch]
            return images

        full = float(self._probabilities(pixels[None], target)[0])
        losses = full - self._asked(covered, len(patches), target)
        total, count = np.zeros(pixels.shape[:2]), np.zeros(pixels.shape[:2])
        for patch, loss in zip(patches, losses, strict=True):
            total[patch] += loss
            count[patch] += 1
        return (total / count).astype(np.float32)

    def _shap(
        self, pixels: Pixels, target: int, behind: Pixels, *, samples: int, seed: int
    ) -> Floats:
        cells = _cells(*pixels.shape[:2])

        def value(masks: Masks) -> Values:
            def shown(start: int, end: int) -> Pixels:
                return np.where(masks[start:end][:, cells][..., None], pixels, behind)

            return self._asked(shown, len(masks), target)

        shares = kernel_shap(value, int(cells.max()) + 1, samples=samples, seed=seed)
        return (shares / np.bincount(cells.ravel()))[cells].astype(np.float32)

    def _asked(
        self, images: Callable[[int, int], Pixels], count: int, target: int
    ) -> NDArray[np.float64]:
        """Probabilities of ``count`` images, made and asked a batch at a time."""
        starts = range(0, count, BATCH)
        return np.concatenate([
            self._probabilities(images(start, min(start + BATCH, count)), target)
            for start in starts
        ])

    def _probabilities(self, images: Pixels, target: int) -> NDArray[np.float64]:
        return self._predict(images)[0][:, target].astype(np.float64)


def cover(pixels: Pixels, background: Background) -> Pixels:
    """What stands where a part of the image is covered: uint8 ``[H, W, C]``.

    A blur keeps large areas as they are, so that covering does not add edges of its own.
    """
    if background == "mean":
        mean = np.rint(pixels.mean(axis=(0, 1)))
        return np.broadcast_to(mean.astype(np.uint8), pixels.shape)
    sigma = max(pixels.shape[:2]) / 8
    blurred = cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.uint8).reshape(pixels.shape)


def _patches(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Overlapping patches, about ``POSITIONS`` a side, that cover every pixel."""
    sides = [max(1, round(PATCH_SHARE * side)) for side in (height, width)]
    starts = [
        sorted(set(np.linspace(0, length - side, POSITIONS).round().astype(int).tolist()))
        for length, side in zip((height, width), sides, strict=True)
    ]
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, top + sides[0]), slice(left, left + sides[1])


def _cells(height: int, width: int) -> NDArray[np.intp]:
    """Cell number of each pixel ``[H, W]``: a grid of at most ``CELLS`` a side."""
    rows, columns = (
        np.arange(side) * min(CELLS, side) // side for side in (height, width)
    )
    return rows[:, None] * (int(columns[-1]) + 1) + columns
