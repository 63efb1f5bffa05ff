"""frouros' MMD with its own kernel, against 1,000 reference rows."""

import json
import sys

import numpy as np
from frouros.detectors.data_drift import MMD

REFERENCE_ROWS = 1000


def main() -> None:
    with np.load(sys.argv[1]) as kept:
        reference, windows = kept["reference"], kept["windows"]
    detector = MMD()
    detector.fit(X=reference[:REFERENCE_ROWS])
    print(json.dumps([float(detector.compare(X=window)[0].distance) for window in windows]))


if __name__ == "__main__":
    main()
