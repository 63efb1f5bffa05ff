"""Pictures for materializations: PNG bytes of at most 100 KB, drawn without a screen."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.summary import MAX_PICTURE_BYTES

LEAST_SIDE: Final = 20
INK: Final = "#1f2937"
MUTED: Final = "#9ca3af"
SERIES: Final = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2")


def new_figure(width: float = 6.0, height: float = 3.4, *, columns: int = 1) -> tuple[Any, Any]:
    """A figure of ``width`` x ``height`` inches and its axes (an array when ``columns`` > 1)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns)
    for axis in np.atleast_1d(axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(MUTED)
        axis.tick_params(colors=INK, labelsize=8)
        axis.title.set_color(INK)
    return figure, axes


def to_png(figure: Any) -> bytes:
    """Encode a figure; a picture beyond 100 KB is drawn again at a lower resolution.

    Raises:
        ValueError: still beyond 100 KB at 40 dpi.
    """
    for dpi in (110, 80, 60, 40):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if len(buffer.getvalue()) <= MAX_PICTURE_BYTES:
            return buffer.getvalue()
    raise ValueError("the picture does not fit 100,000 bytes")


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], *, side: int = 40
) -> bytes:
    """A labelled grid, one row a title: images uint8 ``[H, W, C]``, scaled to ``side`` pixels.

    The tiles are drawn smaller, and at last fewer, until the sheet fits 100 KB.
    """
    while True:
        png = cv2.imencode(".png", _sheet(rows, side), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
        if len(png) <= MAX_PICTURE_BYTES:
            return png.tobytes()
        if side > LEAST_SIDE:
            # Bytes grow about with the area.
            side = max(LEAST_SIDE, min(side - 1, int(side * (MAX_PICTURE_BYTES / len(png)) ** 0.5)))
        else:
            rows = [(title, images[: max(1, len(images) // 2)]) for title, images in rows]
            rows = rows if len(rows[0][1]) > 1 else rows[: max(1, len(rows) // 2)]


def _sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], side: int
) -> NDArray[np.uint8]:
    gap, margin = 2, 110
    columns = max(len(images) for _, images in rows)
    size = side + gap
    sheet = np.full((len(rows) * size + gap, margin + columns * size + gap, 3), 255, np.uint8)
    for row, (title, images) in enumerate(rows):
        top = gap + row * size
        cv2.putText(sheet, title[:17], (4, top + side // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36,
                    (55, 41, 31), 1, cv2.LINE_AA)
        for column, image in enumerate(images):
            enlarges = max(image.shape[:2]) < side
            how = cv2.INTER_NEAREST if enlarges else cv2.INTER_AREA
            tile = cv2.resize(image, (side, side), interpolation=how).reshape(side, side, -1)
            left = margin + column * size
            sheet[top : top + side, left : left + side] = tile[..., ::-1]
    return sheet


def bars(
    title: str, names: Sequence[str], series: dict[str, Sequence[float]], *, ylabel: str = ""
) -> bytes:
    """Grouped vertical bars, one group a name."""
    figure, axis = new_figure(max(5.0, 0.55 * len(names)), 3.2)
    positions, width = np.arange(len(names)), 0.8 / len(series)
    for index, (label, values) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * width
        axis.bar(positions + offset, values, width, label=label, color=SERIES[index % 6])
    axis.set_xticks(positions, names, rotation=35, ha="right")
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_ylabel(ylabel, fontsize=8)
    if len(series) > 1:
        axis.legend(fontsize=8, frameon=False, loc="upper right")
    return to_png(figure)
