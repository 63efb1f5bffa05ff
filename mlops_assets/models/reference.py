"""What an exported model answers on held-out rows: what production is compared with.

``reference.npz`` holds, for ``N`` rows (at most 10,000): ``image_ids`` ``S64 [N]``, ``truth`` and
``labels`` int64 ``[N]`` (the true and the answered class), ``probabilities`` float32 ``[N, K]``,
``embedding`` float16 ``[N, E]``, ``confidence`` and ``norm`` float32 ``[N]``, ``projected`` float32
``[N, P]``, ``predicted`` int64 ``[K]`` (counts), and each of ``contracts.image_statistics``.

How embeddings are looked at is fitted on training images, so that no held-out row seems more usual
than one of production: ``center`` ``[E]`` and ``components`` ``[P, E]`` are principal axes,
``class_means`` ``[K, E]`` and ``precision`` ``[E, E]`` the classes' centres and the inverse of the
covariance that they share (Lee et al. 2018).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.image_statistics import describe_images
from mlops_assets.contracts.model_card import REFERENCE_FILE
from mlops_assets.features.statistics import COMPONENTS, principal_components

FIT_ROWS: Final = 2_000
RIDGE: Final = 1e-2

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def write_reference(
    out: Path, images: NDArray[np.uint8], truth: Labels, image_ids: NDArray[Any],
    answers: tuple[Floats, Floats], fit: Floats, fit_labels: Labels,
) -> None:
    """Write ``reference.npz`` into ``out``.

    ``answers`` are probabilities ``[N, K]`` and embeddings ``[N, E]`` of ``images``; ``fit`` are
    embeddings ``[M, E]`` of training images of the classes ``fit_labels``.
    """
    probabilities, embedding = answers
    predicted = probabilities.argmax(axis=1)
    center, components = principal_components(fit, min(COMPONENTS, fit.shape[1]))
    means, precision = class_centres(fit, fit_labels, probabilities.shape[1])
    arrays: dict[str, Any] = {
        "image_ids": image_ids.astype("S64"), "truth": truth.astype(np.int64), "labels": predicted,
        "probabilities": probabilities, "confidence": probabilities.max(axis=1),
        "predicted": np.bincount(predicted, minlength=probabilities.shape[1]),
        "norm": np.linalg.norm(embedding, axis=1),
        "center": center, "components": components, "class_means": means, "precision": precision,
        "projected": ((embedding - center) @ components.T).astype(np.float32),
        "embedding": embedding.astype(np.float16),
        **describe_images(images),
    }
    np.savez(out / REFERENCE_FILE, **arrays)


def class_centres(fit: Floats, labels: Labels, classes: int) -> tuple[Floats, Floats]:
    """Class means ``[K, E]`` and the precision ``[E, E]`` of what is around them, with a ridge.

    A class without rows has the mean of all.
    """
    means = np.stack([fit[labels == label].mean(axis=0) if np.any(labels == label)
                      else fit.mean(axis=0) for label in range(classes)])
    away = (fit - means[labels]).astype(np.float64)
    covariance = away.T @ away / max(1, len(away) - 1)
    size = len(covariance)
    ridge = max(RIDGE * float(np.trace(covariance)) / size, 1e-12)
    precision = np.linalg.inv(covariance + ridge * np.eye(size))
    return means.astype(np.float32), precision.astype(np.float32)
