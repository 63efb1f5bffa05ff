"""Traffic at a steady rate, shifted by name, with labels that come late."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mlops_assets.cli.shifts import shift
from mlops_assets.cli.traffic import CONNECTIONS, LabelledImage
from mlops_assets.contracts.prediction import Answer
from resources.service_api import ServiceApi, ServiceError

RECENT: Final = 500
# A rollout keeps a client on one model; many of them share traffic as its weights say.
CLIENTS: Final = 100_000


@dataclass(slots=True)
class Tally:
    """What came of the traffic; ``recent`` says of the latest answers whether they were right."""

    sent: int = 0
    right: int = 0
    labels: int = 0
    failed: int = 0
    last_error: str = ""
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def accuracy(self) -> float:
        """Of all answers; 0 before the first."""
        return self.right / max(1, self.sent)

    @property
    def recent_accuracy(self) -> float:
        """Of the latest answers."""
        return sum(self.recent) / max(1, len(self.recent))


class Generator:
    """Sends images in turn, ``rate`` a second, each after ``shift_name``.

    A share ``labelled`` of the answers gets its true label ``delay`` seconds later. The rate and
    the shift may be changed while it runs. Images are sent over and over, in another order each
    time; a random shift differs each time. ``answered`` and ``labelled`` are the ids of predictions
    that were answered, and whose label was taken.
    """

    def __init__(
        self, api: ServiceApi, images: Sequence[LabelledImage], *, rate: float,
        shift_name: str = "none", labelled: float = 1.0, delay: float = 0.0, seed: int = 0,
    ) -> None:
        self.rate, self.shift_name = rate, shift_name
        self.tally = Tally()
        self.answered: Final[list[str]] = []
        self.labelled: Final[list[str]] = []
        self._api: Final = api
        self._images: Final = images
        self._labelled: Final = labelled
        self._delay: Final = delay
        self._rng: Final = np.random.default_rng(seed)
        self._stop: Final = threading.Event()
        self._lock: Final = threading.Lock()
        self._due: Final[deque[tuple[float, str, str]]] = deque()
        self._pool: Final = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="traffic")
        self._threads: Final = [threading.Thread(target=work, daemon=True)
                                for work in (self._send, self._tell)]

    def __enter__(self) -> Generator:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._pool.shutdown()
        self._flush(final=True)

    def forget(self) -> None:
        """Count answers anew; what failed stays."""
        with self._lock:
            self.tally = Tally(failed=self.tally.failed, last_error=self.tally.last_error)

    def _send(self) -> None:
        waiting: deque[Future[None]] = deque()
        due = time.monotonic()
        while not self._stop.is_set():
            for place in self._rng.permutation(len(self._images)):
                if self._stop.is_set():
                    break
                image = self._images[place]
                content = shift(image.content, self.shift_name, self._rng)
                label = image.label if self._rng.random() < self._labelled else None
                client = f"client-{self._rng.integers(CLIENTS)}"
                waiting.append(self._pool.submit(self._ask, content, client, image.label, label))
                # A service that falls behind is not buried; the rate is what it bears.
                while len(waiting) > 4 * CONNECTIONS:
                    waiting.popleft().result()
                due = max(due + 1 / self.rate, time.monotonic() - 1.0)
                self._stop.wait(max(0.0, due - time.monotonic()))
        for each in waiting:
            each.result()

    def _ask(self, content: bytes, client: str, truth: str, label: str | None) -> None:
        try:
            answer: Answer = self._api.predict(content, client=client)
        except ServiceError as error:
            with self._lock:
                self.tally.failed += 1
                self.tally.last_error = str(error)
            return
        right = answer.label == truth
        with self._lock:
            self.answered.append(answer.prediction_id)
            self.tally.sent += 1
            self.tally.right += right
            self.tally.recent.append(right)
            if label is not None:
                self._due.append((time.monotonic() + self._delay, answer.prediction_id, label))

    def _tell(self) -> None:
        while not self._stop.wait(0.05):
            self._flush(final=False)

    def _flush(self, *, final: bool) -> None:
        """Send the labels whose time has come, or all of them."""
        while True:
            with self._lock:
                if not self._due or (not final and self._due[0][0] > time.monotonic()):
                    return
                _, prediction_id, label = self._due.popleft()
            try:
                self._api.feedback(prediction_id, label)
            except ServiceError as error:
                with self._lock:
                    self.tally.failed += 1
                    self.tally.last_error = str(error)
            else:
                with self._lock:
                    self.labelled.append(prediction_id)
                    self.tally.labels += 1
