"""A source that is looked at again and again, and what was last seen of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from mlops_assets.contracts.errors import PlatformError

LOG: Final = logging.getLogger("mlops.console")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """The last good look, when it was, and why the latest one failed, if it did."""

    value: T
    at: datetime | None = None
    problem: str = ""


class Source(Generic[T]):
    """Looks every ``seconds`` in a thread of its own; a failed look keeps the value before it.

    ``changed`` is called after a look whose value is another one.
    """

    def __init__(
        self, name: str, look: Callable[[], T], first: T, *, seconds: float, url: str = "",
        configured: bool = True,
    ) -> None:
        self.name, self.url, self.configured = name, url, configured
        self.changed: Callable[[str], None] = lambda _name: None
        self._look, self._seconds = look, seconds
        self._seen = Seen(first)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"look-{name}", daemon=True)

    @property
    def seen(self) -> Seen[T]:
        """What was last seen."""
        return self._seen

    @property
    def value(self) -> T:
        """The value of the last good look."""
        return self._seen.value

    def start(self) -> None:
        """Begin to look."""
        if self.configured:
            self._thread.start()

    def stop(self) -> None:
        """Look no more; a look that goes on ends by itself."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait for a look that goes on, for so long at most."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def wake(self) -> None:
        """Look at once, such as after a change that was made here."""
        self._wake.set()

    def refresh(self) -> None:
        """Look now, in this thread."""
        before = self._seen
        try:
            self._seen = Seen(self._look(), datetime.now(UTC))
        except PlatformError as error:
            self._seen = Seen(before.value, before.at, str(error))
        except Exception as error:
            # A page that lives with one dead panel is worth more than none: the fault is logged
            # whole and named on the page.
            LOG.exception("looking at %s", self.name)
            self._seen = Seen(before.value, before.at, f"{type(error).__name__}: {error}")
        if (self._seen.value, self._seen.problem) != (before.value, before.problem):
            self.changed(self.name)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.refresh()
            self._wake.wait(max(0.2, self._seconds - (time.monotonic() - began)))
            self._wake.clear()
