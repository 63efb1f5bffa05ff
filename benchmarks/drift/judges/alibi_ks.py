"""alibi-detect's KSDrift: the largest Kolmogorov-Smirnov distance of any column."""

import json
import sys

import numpy as np
from alibi_detect.cd import KSDrift


def main() -> None:
    with np.load(sys.argv[1]) as kept:
        reference, windows = kept["reference"], kept["windows"]
    detector = KSDrift(reference, p_val=0.05)
    print(json.dumps([float(detector.predict(window)["data"]["distance"].max())
                      for window in windows]))


if __name__ == "__main__":
    main()
