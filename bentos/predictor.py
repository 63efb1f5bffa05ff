"""From image bytes to a journaled answer: route, look in the cache, batch, mirror to the shadow."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bentos import metrics
from bentos.batcher import Expired, Overloaded
from bentos.cache import AnswerCache, open_redis
from bentos.cpus import cpu_quota
from bentos.failures import Failures
from bentos.history import History
from bentos.images import KeptImages
from bentos.model import Answered, Pixels, ServedModel, Upload, decode_to
from bentos.problems import Problem, unavailable
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings, bento_model_dir
from bentos.slots import Slots, SlotTable
from bentos.uploads import check_image
from mlops_assets.contracts.model_card import ModelCard, read_card
from mlops_assets.contracts.pixels import UndecodableImage
from mlops_assets.contracts.rollout import SlotAssignment
from mlops_assets.provenance.hashing import sha256_bytes
from resources.journal import JournalUnavailable, JournalWriter

logger = logging.getLogger("bentos.predictor")
# Up to here decoding costs less than a hop to another thread; above, it would hold up the batch.
INLINE_PIXELS: Final = 128 * 128
INLINE_BYTES: Final = 256 * 1024
MAX_SHADOWS: Final = 256


class Predictor:
    """All slots of this process, its cache and its journal. Used from one event loop."""

    def __init__(
        self, runtime: Runtime, *, journal_dir: Path, images_dir: Path, bento_tag: str,
        settings: ServiceSettings,
    ) -> None:
        self.settings: Final = settings
        self._journal: Final = JournalWriter(journal_dir)
        self._images: Final = KeptImages(images_dir, settings)
        self.history: Final = History(journal_dir, self._journal)
        self._failures: Final = Failures(self._journal)
        redis = open_redis(settings.redis_url.get_secret_value()) if settings.redis_url else None
        self._cache: Final = AnswerCache(
            entries=settings.cache_entries, redis=redis, seconds=settings.cache_seconds)
        # Of their own: an image that takes long to decode holds up no other work.
        self._decoders: Final = ThreadPoolExecutor(cpu_quota(), thread_name_prefix="decode")
        self._decoding = 0
        self._shadows: Final[set[asyncio.Task[None]]] = set()
        own = self._serve(runtime, bento_tag)
        table = SlotTable({"champion": own}, {"champion": 1.0}, only=settings.slot)
        self.slots: Final = Slots(table, self._load)
        self._follower: asyncio.Task[None] | None = None
        self._closed = False
        metrics.show_slots(self.slots.table)

    def follow(self) -> None:
        """Begin to follow the rollout's state, where the settings name its file."""
        if self.settings.follow is not None:
            self._follower = asyncio.get_running_loop().create_task(
                self.slots.follow(self.settings.follow, seconds=self.settings.follow_seconds))

    @property
    def ready(self) -> bool:
        """Whether it takes images."""
        return not self._closed

    def _serve(self, runtime: Runtime, bento_tag: str) -> ServedModel:
        return ServedModel(runtime, bento_tag=bento_tag, journal=self._journal,
                           images=self._images, settings=self.settings)

    def _load(self, assignment: SlotAssignment) -> ServedModel:
        folder = bento_model_dir(assignment.bento_tag)
        runtime = Runtime(folder, threads=self.settings.lane_threads, lone_threads=cpu_quota(),
                          deterministic=self.settings.deterministic)
        return self._serve(runtime, assignment.bento_tag)

    def model_of(self, bento_tag: str, version: str) -> tuple[ModelCard, Path]:
        """Card and folder of a model that answers or has answered here.

        Raises:
            Problem: 404 neither a slot nor BentoML's store has it.
        """
        for model in self.slots.models():
            if (model.bento_tag, model.card.version) == (bento_tag, version):
                return model.card, model.runtime.folder
        folder = bento_model_dir(bento_tag)
        try:
            card = read_card(folder)
        except (FileNotFoundError, ValueError) as error:
            raise Problem(404, "unknown-model", f"{bento_tag} is not in this store") from error
        return card, folder

    async def predict(
        self, content: bytes, *, started: float, caller: str = "anonymous", client: str = "",
        source: str | None = None,
    ) -> Answered:
        """The answer for one encoded image; its record is in the journal when this returns.

        ``started`` is the ``time.perf_counter()`` from which ``latency_ms`` counts; ``client``
        is who is kept on one slot, ``source`` the message of a stream that is answered.

        Raises:
            Problem: 400, 413, 415 or 422 for the image; 503 overloaded, too slow, or no journal.
        """
        size = check_image(content, max_pixels=self.settings.max_pixels)
        table = self.slots.table
        route = table.choose(client or caller)
        model = table.models[route.slot]
        sha256 = sha256_bytes(content)
        upload = Upload(content, sha256, started, route, caller, source=source)
        # Redis may be shared with a service of the other mode, whose last bits differ.
        program = f"{model.card.computation}{'-alone' if model.runtime.deterministic else ''}"
        if not self._computes_anew(table):
            upload.known = self._cache.get(sha256, program)
            if upload.known is None and self._cache.shared:
                upload.known = await self._cache.fetch(sha256, program)
        answered = await self._answer(model, upload, size)
        if upload.known is None and self._cache.enabled:
            self._cache.keep(sha256, program, answered.computed)
            if self._cache.shared:
                await self._cache.share(sha256, program, answered.computed)
        # Counted when the answer has left, for which a lone request would wait.
        asyncio.get_running_loop().call_soon(
            metrics.count_prediction, route.slot, model.card.version, answered.computed)
        if "shadow" in table.models:
            self._mirror(table, upload, answered, size)
        return answered

    def _computes_anew(self, table: SlotTable) -> bool:
        """Whether an answer comes from the model though it may be known.

        How fast two models are is told by what they compute: where every image has been seen
        before, a champion that answers from memory alone could be compared with nothing.
        """
        return table.judging and random.random() < self.settings.anew_share  # noqa: S311 - a sample

    async def _answer(self, model: ServedModel, upload: Upload, size: int) -> Answered:
        try:
            if upload.known is None:
                model.batcher.check(ahead=self._decoding)
                if size > INLINE_PIXELS or len(upload.content) > INLINE_BYTES:
                    upload.pixels = await self._decode(model, upload.content)
                else:
                    upload.pixels = decode_to(model.card, upload.content)
            return await model.batcher.submit(upload)
        except UndecodableImage as error:
            raise Problem(422, "undecodable-image", str(error)) from error
        except Overloaded as error:
            metrics.SHED.labels(upload.route.slot).inc()
            # A shadow comes after those who wait for an answer: that it is dropped says how busy
            # the machine is, and nothing of the model.
            if upload.shadow_of is None:
                self._failures.count(model, upload, "overloaded")
            raise unavailable("overloaded", str(error), retry_after=error.retry_after) from error
        except JournalUnavailable as error:
            metrics.JOURNAL_FAULTS.inc()
            raise unavailable("journal-unavailable", "the answer could not be kept") from error
        except (Expired, TimeoutError) as error:
            self._failures.count(model, upload, "too-slow")
            raise unavailable("too-slow", "no answer in time; the service is busy") from error
        except Exception:
            self._failures.count(model, upload, "failed")
            raise

    async def _decode(self, model: ServedModel, content: bytes) -> Pixels:
        loop = asyncio.get_running_loop()
        self._decoding += 1
        try:
            async with asyncio.timeout(self.settings.answer_timeout):
                return await loop.run_in_executor(self._decoders, decode_to, model.card, content)
        finally:
            self._decoding -= 1

    def _mirror(self, table: SlotTable, upload: Upload, answered: Answered, size: int) -> None:
        """Let the shadow model see the request; nobody waits for it, and overload drops it."""
        share = self.settings.shadow_share * table.share("shadow")
        if len(self._shadows) >= MAX_SHADOWS or random.random() >= share:  # noqa: S311 - a sample
            return
        # Its time counts from here: the champion's is not its own.
        seen = Upload(upload.content, upload.sha256, time.perf_counter(), table.route("shadow"),
                      upload.caller, shadow_of=answered.prediction_id)
        model = table.models["shadow"]
        task = asyncio.get_running_loop().create_task(self._shadow(model, seen, size))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, model: ServedModel, upload: Upload, size: int) -> None:
        try:
            seen = await self._answer(model, upload, size)
        except Problem as problem:
            metrics.SHADOW_FAULTS.labels(problem.kind).inc()
        except Exception:
            metrics.SHADOW_FAULTS.labels("failed").inc()
            logger.exception("The shadow %s failed", model.bento_tag)
        else:
            metrics.count_prediction("shadow", model.card.version, seen.computed)

    async def close(self) -> None:
        """Finish what runs, refuse what waits, close the journal."""
        self._closed = True
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await asyncio.gather(*self._shadows)
        await self.slots.close()
        await self._cache.close()
        await self._failures.close()
        self._decoders.shutdown()
        self._images.close()
        self._journal.close()


def ready(predictor: Predictor | None) -> Predictor:
    """The predictor, if it takes images.

    Raises:
        Problem: 503 there is none yet, or it is closing.
    """
    if predictor is None or not predictor.ready:
        raise unavailable("not-ready", "no model is loaded")
    return predictor
