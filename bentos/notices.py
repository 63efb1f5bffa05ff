"""Log lines about something that stays wrong: once a minute, not once a request."""

from __future__ import annotations

import logging
import math
import time
from typing import Final

SECONDS: Final = 60.0
logger: Final = logging.getLogger("bentoml.serve.access")


class Notice:
    """One line that is logged at most every ``SECONDS``. ``line`` takes the cause as ``%s``."""

    def __init__(self, line: str) -> None:
        self._line: Final = line
        self._told_at = -math.inf

    def warn(self, cause: object) -> None:
        """Log the line, unless that was done lately. Of a cause only its first line is told."""
        if time.monotonic() - self._told_at >= SECONDS:
            self._told_at = time.monotonic()
            logger.warning(self._line, str(cause).partition("\n")[0])
