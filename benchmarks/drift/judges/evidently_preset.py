"""Evidently's data-drift preset with its defaults: the largest of the columns' distances."""

import json
import sys

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main() -> None:
    with np.load(sys.argv[1]) as kept:
        reference, windows = kept["reference"], kept["windows"]
    names = [f"c{index}" for index in range(reference.shape[1])]
    base = pd.DataFrame(reference, columns=names)
    scores = []
    for window in windows:
        report = Report([DataDriftPreset()])
        found = report.run(
            current_data=pd.DataFrame(window, columns=names), reference_data=base).dict()
        distances = [each["value"] for each in found["metrics"]
                     if not isinstance(each["value"], dict)]
        assert len(distances) == len(names)
        # So many reference rows make it choose a distance, of which more is more drift.
        scores.append(max(map(float, distances)))
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
