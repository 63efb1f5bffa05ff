"""alibi-detect's two-sample Kolmogorov-Smirnov test of every column."""

import json
import resource
import sys
from pathlib import Path

import pandas as pd
from alibi_detect.cd import KSDrift


def main() -> None:
    begun = resource.getrusage(resource.RUSAGE_SELF)
    folder = Path(sys.argv[1])
    reference = pd.read_parquet(folder / "reference.parquet")
    current = pd.read_parquet(folder / "hours")
    found = KSDrift(reference.to_numpy(), p_val=0.05).predict(current.to_numpy())["data"]
    values = dict(zip(reference.columns, map(float, found["distance"]), strict=True))
    print(json.dumps({"imports": begun.ru_utime + begun.ru_stime, "rows": len(current),
                      "columns": current.shape[1], "ks": values}))


if __name__ == "__main__":
    main()
