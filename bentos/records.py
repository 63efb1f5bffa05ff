"""Answers and journal lines as bytes: the same bytes leave and are kept.

``contracts.prediction`` is their schema. They are written here by hand, as a request has a few
microseconds for them; tests hold each line against the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from bentos.computed import Computed, Floats, Novelty, pack_embedding
from mlops_assets.contracts.image_statistics import describe_image
from mlops_assets.contracts.model_card import ModelCard
from mlops_assets.contracts.prediction import AnsweringModel, Slot

if TYPE_CHECKING:
    from bentos.model import Route

SLOTS: Final[tuple[Slot, ...]] = ("champion", "challenger", "shadow")


class Writer:
    """Writes for one model version."""

    def __init__(self, card: ModelCard, bento_tag: str) -> None:
        self._classes: Final = card.classes
        self._tag: Final = orjson.dumps(bento_tag)
        self._keys: Final = [orjson.dumps(name) + b":" for name in card.classes]
        self._models: Final = {
            slot: orjson.dumps(AnsweringModel(
                name=card.name, version=card.version, sha256=card.program_sha256, slot=slot,
            ).model_dump()) for slot in SLOTS
        }

    def describe(
        self, images: NDArray[np.uint8], probabilities: Floats, embeddings: Floats,
        novelty: Novelty | None,
    ) -> Iterator[Computed]:
        """One ``Computed`` a row of uint8 ``[N, H, W, C]`` and what the program gave for it."""
        # A softmax in float32 may round a share to a hair above 1.
        shares = np.minimum(probabilities, np.float32(1.0))
        strange = None if novelty is None else novelty.measure(embeddings).tolist()
        for row, image in enumerate(images):
            texts = orjson.dumps(shares[row], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
            values = list(map(float, texts))
            confidence = max(values)
            yield Computed(
                label=self._classes[values.index(confidence)], confidence=confidence,
                shares=b"{" + b",".join(map(bytes.__add__, self._keys, texts)) + b"}",
                embedding=pack_embedding(embeddings[row]),
                pixels=describe_image(image),
                novelty=None if strange is None else strange[row],
            )

    def write(
        self, prediction_id: str, at: datetime, computed: Computed, route: Route, *,
        sha256: str, latency_ms: float, caller: str, cached: bool, kept: bool,
        shadow_of: str | None, source: str | None,
    ) -> tuple[bytes, bytes]:
        """The answer (``Answer``) and its record (``PredictionRecord``), not yet chained."""
        label = orjson.dumps(computed.label)
        body = (
            b'{"prediction_id":"%b","label":%b,"confidence":%b,"probabilities":%b,"model":%b,'
            b'"latency_ms":%.3f}'
        ) % (prediction_id.encode(), label, repr(computed.confidence).encode(), computed.shares,
             self._models[route.slot], latency_ms)
        rest = orjson.dumps({
            "at": at, "image_sha256": sha256, "embedding": computed.embedding,
            **computed.pixels._asdict(), "weight": route.weight, "step": route.step,
            "revision": route.revision,
            "caller": caller, "cached": cached, "novelty": computed.novelty, "image_kept": kept,
            "shadow_of": shadow_of, "source": source,
        })
        line = b'{"kind":"prediction","answer":%b,"bento_tag":%b,%b' % (
            body, self._tag, rest[1:])
        return body, line
