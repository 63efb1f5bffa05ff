"""Images of requests that are kept for labelling, by a policy that can be switched off.

They lie content-addressed, ``<folder>/<first two of sha256>/<sha256>``, written whole or not at
all by a thread of its own: a request never waits for them, and when the disk is slow some are
left out and counted.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bentos import metrics
from bentos.settings import ServiceSettings
from mlops_assets.contracts.files import request_image
from resources.durable import write_bytes

logger = logging.getLogger("bentos.images")
WAITING_BYTES: Final = 64_000_000
SWEEP_SECONDS: Final = 600.0
DAY: Final = 86_400.0


class KeptImages:
    """Keeps a random share, those with a low confidence, and those unlike the reference."""

    def __init__(self, folder: Path, settings: ServiceSettings) -> None:
        self._folder: Final = folder
        self._settings: Final = settings
        self._queue: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock: Final = threading.Lock()
        self._thread: threading.Thread | None = None
        if settings.keep_images:
            self._thread = threading.Thread(target=self._work, name="kept-images", daemon=True)
            self._thread.start()

    def offer(
        self, content: bytes, sha256: str, *, confidence: float, novelty: float | None,
        shadow: bool,
    ) -> bool:
        """Whether the image will be kept; the writing happens later, on another thread."""
        settings = self._settings
        if self._thread is None or shadow:
            return False
        novel = settings.keep_novel and novelty is not None and novelty > 1.0
        sampled = random.random() < settings.keep_share  # noqa: S311 - a sample, no secret
        if not (confidence < settings.keep_below or novel or sampled):
            return False
        with self._lock:
            if self._waiting + len(content) > WAITING_BYTES:
                metrics.IMAGES_LEFT_OUT.inc()
                return False
            self._waiting += len(content)
        self._queue.put((sha256, content))
        return True

    def close(self) -> None:
        """Write what waits and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        swept = 0.0
        while True:
            if time.monotonic() - swept > SWEEP_SECONDS or not swept:
                self._sweep()
                swept = time.monotonic()
            try:
                item = self._queue.get(timeout=SWEEP_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            self._write(*item)

    def _write(self, sha256: str, content: bytes) -> None:
        path = request_image(self._folder, sha256)
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                # A sync would hold up the journal, which is on the same disk.
                write_bytes(path, content, sync=False)
                metrics.IMAGES_KEPT.inc()
        except OSError:
            metrics.IMAGES_LEFT_OUT.inc()
            logger.exception("An image could not be kept in %s", self._folder)
        finally:
            with self._lock:
                self._waiting -= len(content)

    def _sweep(self) -> None:
        try:
            removed = sweep(self._folder, max_days=self._settings.keep_days,
                            max_bytes=self._settings.keep_bytes)
        except OSError:
            logger.exception("Old images in %s could not be removed", self._folder)
            return
        if removed:
            logger.info("Removed %d kept images past their limits", removed)


def sweep(folder: Path, *, max_days: float, max_bytes: int) -> int:
    """Remove what is older than ``max_days``, then the oldest above ``max_bytes``; how many."""
    now = time.time()
    newest_first = sorted(_files(folder), reverse=True)
    total, removed = 0, 0
    for changed, size, path in newest_first:
        total += size
        if now - changed > max_days * DAY or total > max_bytes:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.glob("??/*"):
        try:
            found = path.stat()
        except FileNotFoundError:  # another worker sweeps as well
            continue
        yield found.st_mtime, found.st_size, path
