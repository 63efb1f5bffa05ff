"""NannyML's univariate drift by Jensen-Shannon distance, all hours as one chunk."""

import json
import resource
import sys
from pathlib import Path

import nannyml
import pandas as pd


def main() -> None:
    begun = resource.getrusage(resource.RUSAGE_SELF)
    folder = Path(sys.argv[1])
    reference = pd.read_parquet(folder / "reference.parquet")
    current = pd.read_parquet(folder / "hours")
    names = list(reference.columns)
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=names, continuous_methods=["jensen_shannon"], chunk_number=1)
    calculator.fit(reference)
    found = calculator.calculate(current).filter(period="analysis").to_df(multilevel=True)
    values = {name: float(found[name, "jensen_shannon", "value"].iloc[0]) for name in names}
    print(json.dumps({"imports": begun.ru_utime + begun.ru_stime, "rows": len(current),
                      "columns": len(names), "js": values}))


if __name__ == "__main__":
    main()
