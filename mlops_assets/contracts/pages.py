"""Below which paths of the console the pages of other programs are."""

from __future__ import annotations

from typing import Final

# `tests/unit/test_passed_pages.py` holds files that can not import these to them.
DAGSTER_PAGES: Final = "/dagster"
MLFLOW_PAGES: Final = "/mlflow"
