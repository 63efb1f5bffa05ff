"""Bytes of an image by its SHA-256: of requests that were kept, or of the data."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from mlops_assets.contracts.files import REQUESTS_FOLDER, request_image
from mlops_assets.contracts.pixels import sniff_format

SHA256: Final = re.compile(r"[0-9a-f]{64}")
SHOWN_BY_BROWSERS: Final = frozenset({"png", "jpeg", "webp", "gif", "bmp"})


def find_image(home: Path, sha256: str) -> tuple[bytes, str] | None:
    """Content and media type, or None where no image of this hash is kept.

    What no browser shows comes as PNG.
    """
    if not SHA256.fullmatch(sha256):
        return None
    kept = request_image(home / REQUESTS_FOLDER, sha256)
    content = kept.read_bytes() if kept.is_file() else _in_data(home, sha256)
    if content is None:
        return None
    kind = sniff_format(content)
    if kind in SHOWN_BY_BROWSERS:
        return content, f"image/{kind}"
    return _as_png(content), "image/png"


@lru_cache(maxsize=512)
def _in_data(home: Path, sha256: str) -> bytes | None:
    """Of the newest snapshots first."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted(home.glob("store/raw_images/*/images-*.parquet"),
                   key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        with pq.ParquetFile(path, memory_map=True) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["image_id"]).column(0)
                row = pc.index(ids, sha256).as_py()
                if row >= 0:
                    column = file.read_row_group(group, columns=["content"]).column(0)
                    return bytes(column[row].as_py())
    return None


def _as_png(content: bytes) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(out, "PNG")
    return out.getvalue()


def sample_rows(home: Path, dataset: str, count: int) -> list[tuple[str, str]]:
    """Image id and label of held-out images of a dataset, spread over its classes."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from mlops_assets.contracts.manifest import ROWS_FILE

    path = home / "store" / "dataset" / dataset / ROWS_FILE
    if not path.is_file():
        return []
    rows = pq.read_table(path, columns=["image_id", "label", "split"], memory_map=True)
    held_out = rows.filter(pc.equal(rows.column("split"), "test"))
    found: dict[str, list[str]] = {}
    for name in sorted(set(held_out.column("label").to_pylist())):
        of = held_out.filter(pc.equal(held_out.column("label"), name))
        found[name] = of.column("image_id").slice(0, max(1, count // 2)).to_pylist()
    picked: list[tuple[str, str]] = []
    for place in range(max(map(len, found.values()), default=0)):
        picked += [(ids[place], name) for name, ids in found.items() if place < len(ids)]
    return picked[:count]
