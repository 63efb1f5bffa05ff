"""Changes that are asked for twice under one key are made once."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastapi import HTTPException

KEPT: Final = 1000
KEY: Final = re.compile(r"[\x21-\x7e]{8,100}")
KEY_HEADER: Final = "idempotency-key"
T = TypeVar("T")


class Replays:
    """Answers by key; one change is made at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[Any, Any]] = OrderedDict()

    def once(self, key: str | None, asked: Any, make: Callable[[], T]) -> tuple[T, bool]:
        """The answer to a change, and whether it had been made before.

        Raises:
            HTTPException: 400 without a key, 422 for a key that came with another change.
        """
        if key is None or not KEY.fullmatch(key):
            raise HTTPException(400, f"send 8 to 100 printable characters as {KEY_HEADER}")
        with self._lock:
            if key in self._answers:
                before, answer = self._answers[key]
                if before != asked:
                    raise HTTPException(422, "this key came with another change before")
                return answer, True
            answer = make()
            self._answers[key] = (asked, answer)
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
            return answer, False
