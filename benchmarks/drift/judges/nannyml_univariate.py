"""NannyML's univariate drift by Jensen-Shannon distance: the largest of any column."""

import json
import sys

import nannyml
import numpy as np
import pandas as pd


def main() -> None:
    with np.load(sys.argv[1]) as kept:
        reference, windows = kept["reference"], kept["windows"]
    names = [f"c{index}" for index in range(reference.shape[1])]
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=names, continuous_methods=["jensen_shannon"], chunk_size=windows.shape[1])
    calculator.fit(pd.DataFrame(reference, columns=names))
    rows = pd.DataFrame(windows.reshape(-1, len(names)), columns=names)
    found = calculator.calculate(rows).filter(period="analysis").to_df(multilevel=True)
    values = np.stack([found[name, "jensen_shannon", "value"].to_numpy() for name in names])
    assert values.shape == (len(names), len(windows))
    print(json.dumps(values.max(axis=0).tolist()))


if __name__ == "__main__":
    main()
