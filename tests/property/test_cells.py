"""Counts in cells do not depend on how values lie in memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.monitoring.trigger.sketches import CELLS, Grid, count_cells


@settings(deadline=None)
@given(st.lists(st.floats(width=32), min_size=2, max_size=60))
def test_columns_and_rows_are_counted_alike(drawn: list[float]) -> None:
    values = np.array(drawn[: len(drawn) // 2 * 2], np.float32).reshape(-1, 2)
    grid = Grid.fit(np.linspace((0, -1), (1, 5), 100, dtype=np.float32))
    by_row = count_cells(grid, np.ascontiguousarray(values))
    np.testing.assert_array_equal(by_row, count_cells(grid, np.asfortranarray(values)))
    placed = grid.place(values)
    for column in range(2):
        np.testing.assert_array_equal(
            by_row[column], np.bincount(placed[:, column], minlength=CELLS))
