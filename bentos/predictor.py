"""From image bytes to a journaled answer: decode, compute together, write, then answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bentos import metrics
from bentos.batcher import Batcher, Overloaded
from bentos.history import History
from bentos.problems import Problem, unavailable
from bentos.runtime import Floats, Runtime
from bentos.settings import ServiceSettings
from bentos.uploads import check_image
from mlops_assets.contracts.pixels import UndecodableImage, decode_pixels
from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    PredictionRecord,
    new_prediction_id,
)
from mlops_assets.provenance.hashing import sha256_bytes
from resources.journal import JournalUnavailable, JournalWriter

# Up to here decoding costs less than a hop to another thread; above, it would hold up the batch.
INLINE_PIXELS: Final = 128 * 128
INLINE_BYTES: Final = 256 * 1024
MAX_DECODERS: Final = 4


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels, uint8 of the card's shape, and the SHA-256 of the bytes they were decoded from."""

    pixels: NDArray[np.uint8]
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One accepted image, decoded already where it is large; ``started`` is a ``perf_counter``."""

    image: bytes | Decoded
    started: float


class Predictor:
    """The champion model behind its batcher and its journal. Used from one event loop."""

    def __init__(
        self, runtime: Runtime, *, journal_dir: Path, bento_tag: str, settings: ServiceSettings
    ) -> None:
        self.card: Final = runtime.card
        self.bento_tag: Final = bento_tag
        self.settings: Final = settings
        self.model: Final = AnsweringModel(
            name=self.card.name,
            version=self.card.version,
            sha256=self.card.program_sha256,
            slot="champion",
        )
        self._runtime: Final = runtime
        self._journal: Final = JournalWriter(journal_dir)
        self.history: Final = History(journal_dir, self._journal)
        self._decoders: Final = asyncio.Semaphore(MAX_DECODERS)
        self._batcher: Final = Batcher[Upload, Answer](
            self._answer_all,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            on_batch=self._count_batch,
        )
        metrics.MODEL.labels(self.card.name, self.card.version, "champion", bento_tag).set(1)

    @property
    def ready(self) -> bool:
        """Whether it takes images."""
        return not self._batcher.closed

    async def predict(self, content: bytes, *, started: float) -> Answer:
        """The answer for one encoded image; its record is in the journal when this returns.

        ``started`` is the ``time.perf_counter()`` from which ``latency_ms`` counts.

        Raises:
            Problem: 400, 413, 415 or 422 for the image; 503 overloaded, too slow, or no journal.
        """
        size = check_image(content, max_pixels=self.settings.max_pixels)
        image: bytes | Decoded = content
        try:
            async with asyncio.timeout(self.settings.answer_timeout):
                if size > INLINE_PIXELS or len(content) > INLINE_BYTES:
                    async with self._decoders:
                        image = await asyncio.to_thread(self._decode, content)
                answer = await self._batcher.submit(Upload(image, started))
        except UndecodableImage as error:
            raise Problem(422, "undecodable-image", str(error)) from error
        except Overloaded as error:
            raise unavailable("overloaded", str(error), retry_after=error.retry_after) from error
        except JournalUnavailable as error:
            metrics.JOURNAL_FAULTS.inc()
            raise unavailable("journal-unavailable", "the answer could not be kept") from error
        except TimeoutError as error:
            raise unavailable("too-slow", "no answer in time; the service is busy") from error
        finally:
            metrics.WAITING.set(self._batcher.waiting)
        metrics.PREDICTIONS.labels("champion", answer.label).inc()
        metrics.CONFIDENCE.labels("champion").observe(answer.confidence)
        return answer

    async def close(self) -> None:
        """Finish what runs, refuse what waits, close the journal."""
        await self._batcher.close()
        self._journal.close()

    def _decode(self, content: bytes) -> Decoded:
        return Decoded(decode_pixels(content, self.card.pixels), sha256_bytes(content))

    def _answer_all(self, uploads: Sequence[Upload]) -> list[Answer | Exception]:
        decoded = [self._decoded(upload.image) for upload in uploads]
        good = [image.pixels for image in decoded if isinstance(image, Decoded)]
        computed = zip(*self._runtime.predict(np.stack(good)), strict=True) if good else iter(())
        return [
            self._keep(image, upload.started, *next(computed))
            if isinstance(image, Decoded)
            else image
            for upload, image in zip(uploads, decoded, strict=True)
        ]

    def _decoded(self, image: bytes | Decoded) -> Decoded | UndecodableImage:
        try:
            return image if isinstance(image, Decoded) else self._decode(image)
        except UndecodableImage as error:
            return error

    def _keep(
        self, image: Decoded, started: float, probabilities: Floats, embedding: Floats
    ) -> Answer | Exception:
        now = datetime.now(UTC)
        # float32 rounding may leave a share a hair outside 0 to 1.
        shares = np.clip(probabilities, 0.0, 1.0).tolist()
        best = int(np.argmax(probabilities))
        mean, deviation = cv2.meanStdDev(image.pixels.reshape(-1, 1))
        try:
            record = PredictionRecord(
                answer=Answer(
                    prediction_id=new_prediction_id(now),
                    label=self.card.classes[best],
                    confidence=shares[best],
                    probabilities=dict(zip(self.card.classes, shares, strict=True)),
                    model=self.model,
                    latency_ms=(time.perf_counter() - started) * 1000,
                ),
                at=now,
                image_sha256=image.sha256,
                bento_tag=self.bento_tag,
                embedding=embedding.tolist(),
                pixel_mean=mean.item(),
                pixel_std=deviation.item(),
            )
            self._journal.append(record)
        except (ValueError, JournalUnavailable) as error:
            return error
        return record.answer

    @staticmethod
    def _count_batch(size: int, seconds: float) -> None:
        metrics.BATCH_IMAGES.observe(size)
        metrics.BATCH_SECONDS.observe(seconds)
