"""CleanVision over a folder: prints names by issue as one line of JSON."""

import json
import sys
from pathlib import Path

from cleanvision import Imagelab


def main() -> None:
    lab = Imagelab(data_path=sys.argv[1], verbose=False)
    lab.find_issues(n_jobs=int(sys.argv[2]), verbose=False)
    found: dict[str, list[str]] = {}
    for kind in ("dark", "light", "low_information", "blurry", "odd_aspect_ratio"):
        flagged = lab.issues[lab.issues[f"is_{kind}_issue"]]
        found[kind] = [Path(path).name for path in flagged.index]
    for kind in ("near_duplicates", "exact_duplicates"):
        # Of a set all but the first by name are the copies.
        found[kind] = [Path(path).name for group in lab.info[kind]["sets"]
                       for path in sorted(group)[1:]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
