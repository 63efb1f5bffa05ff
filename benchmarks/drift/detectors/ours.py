"""Ours: cells are counted batch by batch, and the merged counts compared."""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mlops_assets.monitoring.columns import distances
from mlops_assets.monitoring.trigger.sketches import (
    CELLS,
    Counts,
    Grid,
    Sketch,
    count_cells,
    count_column,
)

BATCH_ROWS = 65_536


def cells_of(grid: Grid, file: Path) -> tuple[Counts, int]:
    """Cell counts of one hour, and its rows."""
    total, rows = np.zeros((len(grid.low), CELLS), np.int64), 0
    with pq.ParquetFile(file, memory_map=True) as opened:
        for batch in opened.iter_batches(BATCH_ROWS, use_threads=False):
            # Columns as they lie in Arrow's memory: nothing is copied.
            for index, column in enumerate(batch.columns):
                total[index] += count_column(grid.column(index), np.from_dlpack(column))
            rows += batch.num_rows
    return total, rows


def sketch_of(cells: Counts, rows: int) -> Sketch:
    """What distances are taken of: counts alone."""
    none = np.zeros(0)
    return Sketch(cells, none, none, np.array([rows]), none)


def main() -> None:
    begun = resource.getrusage(resource.RUSAGE_SELF)
    folder = Path(sys.argv[1])
    with pq.ParquetFile(folder / "reference.parquet") as opened:
        (table,) = opened.iter_batches(opened.metadata.num_rows)
    values = np.stack([np.from_dlpack(column) for column in table.columns]).T
    grid = Grid.fit(values)
    window: Sketch | None = None
    for file in sorted((folder / "hours").iterdir()):
        hour = sketch_of(*cells_of(grid, file))
        window = hour if window is None else window.merge(hour)
    assert window is not None
    ks, js = distances(sketch_of(count_cells(grid, values), len(values)), window)
    print(json.dumps({
        "imports": begun.ru_utime + begun.ru_stime, "rows": window.rows, "columns": len(ks),
        "ks": dict(zip(table.schema.names, ks.tolist(), strict=True)),
        "js": dict(zip(table.schema.names, js.tolist(), strict=True))}))


if __name__ == "__main__":
    main()
