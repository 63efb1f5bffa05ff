"""What production is compared with: rows on which a model was found to be good.

For a first model these are its held-out rows. One that came up a rollout was accepted on
production's own images, as a shadow and with a share of the traffic: then those are its reference,
as held-out rows of several batches are not what production sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.contracts.model_card import REFERENCE_FILE, ModelCard, read_card
from mlops_assets.monitoring.trigger.views import Rows, join_rows

LEAST_ACCEPTED: Final = 1_000
LEAST_KNOWN: Final = 300
MOST_ACCEPTED: Final = 20_000
NEEDED: Final = frozenset({"labels", "norm", "confidence", "projected", "center", "components"})


@dataclass(frozen=True, slots=True)
class Reference:
    """A model's card, its held-out arrays (see ``models.reference``) and the rows to compare with.

    ``accepted`` says whether ``rows`` are production's. ``known`` are rows of which it is known
    whether the model was right, ``right`` bool ``[M]`` says it; None where nothing is known.
    """

    card: ModelCard
    arrays: dict[str, NDArray[Any]]
    rows: Rows
    accepted: bool
    known: Rows | None = None
    right: NDArray[np.bool_] | None = None

    @classmethod
    def read(cls, model: Path) -> Reference:
        """Of an exported model's folder."""
        with np.load(model / REFERENCE_FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        rows = held_out_rows(arrays)
        if "truth" not in arrays:
            return cls(read_card(model), arrays, rows, accepted=False)
        right = np.asarray(arrays["truth"] == arrays["labels"])
        return cls(read_card(model), arrays, rows, accepted=False, known=rows, right=right)

    def with_accepted(
        self, frames: Iterable[pl.DataFrame], labels: pl.DataFrame | None = None
    ) -> Reference:
        """Compared with what it answered on its way up, if that are enough rows.

        ``labels`` are ``prediction_id`` and ``truth``; a shadow's answer has that of the answer
        which it went along with.
        """
        found: list[pl.DataFrame] = []
        count = 0
        for frame in frames:
            found.append(frame.head(MOST_ACCEPTED - count))
            count += found[-1].height
            if count == MOST_ACCEPTED:
                break
        if count < LEAST_ACCEPTED:
            return self
        rows = join_rows([self.rows_of(frame) for frame in found])
        accepted = replace(self, rows=rows, accepted=True)
        if labels is None:
            return accepted
        names = ["prediction_id", "shadow_of", "label"]
        asked = pl.concat(frame.select(names) for frame in found).with_columns(
            prediction_id=pl.coalesce("shadow_of", "prediction_id"))
        truth = asked.join(labels, on="prediction_id", how="left", maintain_order="left")
        told = truth["truth"].is_not_null().to_numpy()
        if told.sum() < LEAST_KNOWN:
            return accepted
        right = (truth["label"] == truth["truth"]).fill_null(value=False).to_numpy()
        return replace(accepted, known=rows.part(told), right=right[told])

    def rows_of(self, frame: pl.DataFrame) -> Rows:
        """Rows of ``prediction_log`` as the reference's are."""
        vectors = embeddings(frame, self.card)
        places = {name: index for index, name in enumerate(self.card.classes)}
        predicted = frame["label"].replace_strict(places, return_dtype=pl.Int64).to_numpy()
        probabilities = None
        if "probabilities" in self.arrays:
            flat = frame["probabilities"].explode(empty_as_null=False).to_numpy()
            probabilities = flat.astype(np.float32, copy=False).reshape(
                -1, len(self.card.classes))
        arrays = self.arrays
        projected = (vectors - arrays["center"]) @ arrays["components"].T
        return Rows(
            predicted=predicted, confidence=frame["confidence"].to_numpy(),
            projected=projected, norm=np.linalg.norm(vectors, axis=1), probabilities=probabilities,
            pixels={name: frame[name].to_numpy() for name in NAMES if name in arrays},
            novelty=novelty(arrays, vectors, predicted, projected),
        )


def usable(arrays: Iterable[str]) -> bool:
    """Whether a reference has what the trigger needs."""
    return set(arrays) >= NEEDED


def embeddings(frame: pl.DataFrame, card: ModelCard) -> NDArray[np.float32]:
    """Float32 ``[N, E]`` of rows of ``prediction_log``."""
    flat = frame["embedding"].explode(empty_as_null=False).to_numpy()
    return flat.astype(np.float32, copy=False).reshape(-1, card.embedding_size)


def novelty(
    arrays: dict[str, NDArray[Any]], vectors: NDArray[np.float32],
    predicted: NDArray[np.int64], projected: NDArray[np.float32],
) -> dict[str, NDArray[np.float32]]:
    """How far embeddings lie from their class, and from the principal axes; none without centres.

    ``class_distance`` is the Mahalanobis distance to the answered class (Lee et al. 2018).
    """
    if "class_means" not in arrays:
        return {}
    away = vectors - arrays["class_means"][predicted]
    beside = vectors - arrays["center"] - projected @ arrays["components"]
    squared = np.einsum("ne,ne->n", away @ arrays["precision"], away)
    return {"class_distance": np.log1p(np.maximum(squared, 0.0)).astype(np.float32),
            "residual": np.linalg.norm(beside, axis=1).astype(np.float32)}


def held_out_rows(arrays: dict[str, NDArray[Any]]) -> Rows:
    """The rows of a model's reference; without an answer each it has none."""
    predicted = arrays["labels"].astype(np.int64) if "labels" in arrays else np.zeros(0, np.int64)
    count = len(predicted)
    empty = np.zeros((count, 0), np.float32)
    found = {}
    if "embedding" in arrays:
        found = novelty(arrays, arrays["embedding"].astype(np.float32), predicted,
                        arrays["projected"])
    return Rows(
        predicted=predicted, confidence=arrays["confidence"][:count],
        projected=arrays.get("projected", empty)[:count],
        norm=arrays.get("norm", np.zeros(count, np.float32)),
        probabilities=arrays.get("probabilities"),
        pixels={name: arrays[name][:count] for name in NAMES if name in arrays}, novelty=found,
    )
