"""Durations of the rules, which one factor makes shorter where things happen faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
# A rate needs two samples, also when one scrape is late and another fails.
SAMPLES: Final = 4
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def duration(seconds: float) -> str:
    """``seconds``, rounded to milliseconds, as Prometheus writes them: ``5m``, ``1500ms``."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    unit, size = next(each for each in _UNITS if milliseconds % each[1] == 0)
    return f"{milliseconds // size}{unit}"


@dataclass(frozen=True, slots=True)
class Clock:
    """How fast the alarms run: ``scale`` 1 is production, 0.1 ten times as fast."""

    scale: float = 1.0
    scrape_seconds: float = 15.0

    def wait(self, seconds: float) -> str:
        """How long something must hold."""
        return duration(seconds * self.scale)

    def window(self, seconds: float) -> str:
        """Over how long something is averaged; never so short that scrapes are missing in it."""
        return duration(max(seconds * self.scale, SAMPLES * self.scrape_seconds))

    def seconds(self, seconds: float) -> str:
        """A number of seconds inside an expression."""
        return f"{seconds * self.scale:g}"
