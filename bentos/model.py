"""A loaded model behind its batcher: encoded images in, journaled answers out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bentos import metrics
from bentos.batcher import Batcher
from bentos.computed import Computed, Novelty
from bentos.images import KeptImages
from bentos.png import refuse_png_bomb
from bentos.records import Writer
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings
from mlops_assets.contracts.model_card import ModelCard
from mlops_assets.contracts.pixels import UndecodableImage, decode_pixels
from mlops_assets.contracts.prediction import Slot, new_prediction_ids
from resources.journal import JournalUnavailable, JournalWriter

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Route:
    """The slot that took a request, its share of traffic, and the state of serving then."""

    slot: Slot
    weight: float
    step: str
    revision: int


@dataclass(slots=True)
class Upload:
    """One accepted image on its way through a model.

    ``started`` is the ``time.perf_counter()`` of the request's head. ``pixels`` is set when it
    was decoded before, ``known`` when the answer is: then it is only journaled.
    """

    content: bytes
    sha256: str
    started: float
    route: Route
    caller: str
    pixels: Pixels | None = None
    known: Computed | None = None
    shadow_of: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A journaled answer: the body that leaves, and what it was built from."""

    prediction_id: str
    body: bytes
    computed: Computed


class ServedModel:
    """One model version in this process, whatever slots it has."""

    def __init__(
        self, runtime: Runtime, *, bento_tag: str, journal: JournalWriter, images: KeptImages,
        settings: ServiceSettings,
    ) -> None:
        self.card: Final[ModelCard] = runtime.card
        self.bento_tag: Final = bento_tag
        self.runtime: Final = runtime
        self._novelty: Final = Novelty.read(runtime.folder)
        self._writer: Final = Writer(self.card, bento_tag)
        self._journal: Final = journal
        self._images: Final = images
        self._journaled: Final[deque[float]] = deque()
        self.batcher: Final = Batcher[Upload, Answered](
            self._answer_all, max_batch=settings.max_batch, max_queue=settings.max_queue,
            max_wait=settings.max_wait, timeout=settings.answer_timeout, lanes=settings.lanes,
            on_batch=self._count_batch,
        )

    def _count_batch(self, size: int, seconds: float) -> None:
        metrics.count_batch(self.card.version, size, seconds, self.batcher.waiting)
        while self._journaled:
            metrics.JOURNAL_SECONDS.observe(self._journaled.popleft())

    async def close(self, *, finish: bool = False) -> None:
        """Stop the batcher; ``finish`` answers what waits as well."""
        await self.batcher.close(finish=finish)

    def _answer_all(self, uploads: Sequence[Upload]) -> list[Answered | Exception]:
        """Body of a lane: decode, compute, journal the whole batch in one write."""
        outcomes: list[Answered | Exception | None] = [None] * len(uploads)
        found = self._compute(uploads, outcomes)
        now = datetime.now(UTC)
        ended = time.perf_counter()
        lines, answers = [], []
        ids = new_prediction_ids(len(found), now)
        for prediction_id, (index, computed) in zip(ids, found.items(), strict=True):
            upload = uploads[index]
            kept = self._images.offer(
                upload.content, upload.sha256, confidence=computed.confidence,
                novelty=computed.novelty, shadow=upload.shadow_of is not None,
            )
            body, line = self._writer.write(
                prediction_id, now, computed, upload.route, sha256=upload.sha256,
                latency_ms=(ended - upload.started) * 1000, caller=upload.caller,
                cached=upload.known is not None, kept=kept, shadow_of=upload.shadow_of,
                source=upload.source,
            )
            lines.append(line)
            answers.append((index, Answered(prediction_id, body, computed)))
        if lines:
            fault: JournalUnavailable | None = None
            try:
                began = time.perf_counter()
                self._journal.append_predictions(lines, answers[0][1].prediction_id)
                self._journaled.append(time.perf_counter() - began)
            except JournalUnavailable as error:
                fault = error
            for index, answer in answers:
                outcomes[index] = fault or answer
        return [each for each in outcomes if each is not None]

    def _compute(
        self, uploads: Sequence[Upload], outcomes: list[Answered | Exception | None]
    ) -> dict[int, Computed]:
        """What the program gives for each decodable image, by its place in the batch."""
        found = {i: each.known for i, each in enumerate(uploads) if each.known is not None}
        images: list[Pixels] = []
        places: list[int] = []
        for index, upload in enumerate(uploads):
            if index in found:
                continue
            try:
                pixels = upload.pixels
                if pixels is None:
                    pixels = decode_to(self.card, upload.content)
            except UndecodableImage as error:
                outcomes[index] = error
                continue
            images.append(pixels)
            places.append(index)
        if images:
            batch = np.stack(images) if len(images) > 1 else images[0][None]
            probabilities, embeddings = self.runtime.predict(batch, alone=self.batcher.alone)
            rows = self._writer.describe(batch, probabilities, embeddings, self._novelty)
            found |= dict(zip(places, rows, strict=True))
        return found


def decode_to(card: ModelCard, content: bytes) -> Pixels:
    """Pixels of one image, decoded on the caller's thread.

    Raises:
        UndecodableImage: see ``refuse_png_bomb`` and ``decode_pixels``.
    """
    refuse_png_bomb(content)
    return decode_pixels(content, card.pixels)


