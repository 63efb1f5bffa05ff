"""river's ADWIN, Page-Hinkley and KSWIN on streams of confidence, at several sensitivities.

For each setting, the place of the first alarm in each stream, or null.
"""

import json
import sys
from collections.abc import Callable

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley

SETTINGS: dict[str, dict[str, Callable[[], ADWIN | KSWIN | PageHinkley]]] = {
    "ADWIN": {f"delta={delta:g}": (lambda delta=delta: ADWIN(delta=delta))
              for delta in (2e-3, 1e-4, 1e-6, 1e-8)},
    "Page-Hinkley": {
        f"threshold={threshold:g}": (
            lambda threshold=threshold: PageHinkley(threshold=threshold, mode="down"))
        for threshold in (10, 20, 40, 80, 160)},
    "KSWIN": {f"alpha={alpha:g}": (lambda alpha=alpha: KSWIN(alpha=alpha, seed=0))
              for alpha in (5e-3, 1e-5, 1e-7, 1e-9)},
}


def first_alarm(make: Callable[[], ADWIN | KSWIN | PageHinkley], stream: np.ndarray) -> int | None:
    """How many values were seen at the first alarm."""
    detector = make()
    for number, value in enumerate(stream.tolist(), start=1):
        detector.update(value)
        if detector.drift_detected:
            return number
    return None


def main() -> None:
    with np.load(sys.argv[1]) as kept:
        clean, shifted = kept["clean"], kept["shifted"]
    # From the least sensitive setting on: one that alarms on clean streams ends the search.
    found = {}
    for name, settings in SETTINGS.items():
        kept_setting = None
        for setting, make in reversed(list(settings.items())):
            if any(first_alarm(make, stream) is not None for stream in clean):
                break
            kept_setting = setting
        found[name] = {"setting": kept_setting, "alarms": None if kept_setting is None else [
            first_alarm(settings[kept_setting], stream) for stream in shifted]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
