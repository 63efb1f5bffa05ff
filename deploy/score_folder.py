"""``python -m deploy.score_folder [NAME]``: a run of ``batch_predictions`` over one folder.

NAME is a folder below ``scoring.root``, else yesterday's date (UTC), such as 2026-11-23.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from resources.dagster_api import DagsterApi

URL: Final = "MLOPS_CONSOLE_DAGSTER_URL"
PARTITIONS: Final = "scoring"
JOB: Final = "score_folder"


def yesterday(now: datetime) -> str:
    """The date before ``now``."""
    return (now - timedelta(days=1)).date().isoformat()


def launch(url: str, folder: str) -> str:
    """Queue the run at the webserver; gives the run's id.

    Raises:
        PlatformError: Dagster does not answer, or refuses.
    """
    with closing(DagsterApi(url)) as api:
        api.ensure_partition(PARTITIONS, folder)
        return api.launch(JOB, folder)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default=yesterday(datetime.now(UTC)))
    options = parser.parse_args()
    try:
        run = launch(os.environ[URL], options.name)
    except PlatformError as error:
        sys.exit(f"score_folder: {error}")
    sys.stdout.write(f"{options.name} is scored by run {run}\n")


if __name__ == "__main__":
    main()
