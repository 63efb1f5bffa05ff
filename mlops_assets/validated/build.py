"""Build of ``validated_images`` and ``quarantined_images`` from one raw snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import chain
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.config import ValidationSettings
from mlops_assets.contracts.manifest import (
    CLASSES_FILE,
    MANIFEST_FILE,
    MANIFEST_SCHEMA,
    QUARANTINE_FILE,
    QUARANTINE_SCHEMA,
)
from mlops_assets.contracts.summary import Summary
from mlops_assets.pictures import bars, contact_sheet
from mlops_assets.raw.snapshot import read_batches
from mlops_assets.validated.duplicates import Claim, find_duplicates
from mlops_assets.validated.inspection import Facts, Fault, inspect_image
from mlops_assets.validated.schema import failures
from resources.steps import Workspace

Row = dict[str, Any]
CHUNK_ROWS: Final = 128


def build_validated(limits: ValidationSettings, work: Workspace, *, threads: int) -> None:
    """Inspect every image of the snapshot; good rows to the manifest, the rest to quarantine."""
    snapshot = work.read("raw_images")
    classes: list[str] = json.loads((snapshot / CLASSES_FILE).read_bytes())
    good: list[Row] = []
    bad: list[Row] = []
    with ThreadPoolExecutor(threads) as pool:
        for batch in read_batches(snapshot):
            rows = batch.to_pylist()
            chunks = [rows[at : at + CHUNK_ROWS] for at in range(0, len(rows), CHUNK_ROWS)]
            verdicts = pool.map(lambda chunk: [_judge(row, classes, limits) for row in chunk],
                                chunks)
            for row, verdict in zip(rows, chain.from_iterable(verdicts), strict=True):
                if isinstance(verdict, Fault):
                    bad.append({**row, "reason": verdict.reason, "detail": verdict.detail})
                else:
                    size = len(row.pop("content"))
                    good.append({**row, **asdict(verdict), "bytes": size})
    claims = [Claim(row["image_id"], row["label"], row["origin_split"]) for row in good]
    duplicates = find_duplicates(claims)
    if duplicates:
        bad += _with_content(work, good, duplicates)
        good = [row for index, row in enumerate(good) if index not in duplicates]
    _write(work, classes, good, bad, limits)


def _judge(row: Row, classes: list[str], limits: ValidationSettings) -> Facts | Fault:
    if row["label"] not in classes:
        return Fault("unknown-class", f"`{row['label']}` is none of {', '.join(classes)[:120]}")
    return inspect_image(row["content"], row["source"], limits)


def _with_content(
    work: Workspace, good: list[Row], duplicates: dict[int, Fault]
) -> Iterator[Row]:
    """Quarantine rows of duplicates, whose bytes are read once more from the snapshot."""
    wanted = {good[index]["source"]: fault for index, fault in duplicates.items()}
    for batch in read_batches(work.read("raw_images")):
        sources = batch.column("source").to_pylist()
        for index, source in enumerate(sources):
            if source in wanted:
                row: Row = batch.slice(index, 1).to_pylist()[0]
                fault = wanted[source]
                yield {**row, "reason": fault.reason, "detail": fault.detail}


def _write(
    work: Workspace, classes: list[str], good: list[Row], bad: list[Row],
    limits: ValidationSettings,
) -> None:
    good.sort(key=lambda row: (row["image_id"], row["source"]))
    bad.sort(key=lambda row: (row["reason"], row["source"]))
    manifest = pa.Table.from_pylist(good, schema=MANIFEST_SCHEMA)
    out = work.out("validated_images")
    pq.write_table(manifest, out / MANIFEST_FILE, compression="zstd")
    (out / CLASSES_FILE).write_bytes((work.read("raw_images") / CLASSES_FILE).read_bytes())
    quarantine = pa.Table.from_pylist(
        [{name: row[name] for name in QUARANTINE_SCHEMA.names} for row in bad],
        schema=QUARANTINE_SCHEMA,
    )
    pq.write_table(quarantine, work.out("quarantined_images") / QUARANTINE_FILE, compression="zstd")
    frame = pl.DataFrame(pl.from_arrow(manifest))
    _summarize_good(work.summary("validated_images"), frame, classes, limits, quarantined=len(bad))
    _summarize_bad(work.summary("quarantined_images"), bad)


def _summarize_good(
    summary: Summary, frame: pl.DataFrame, classes: list[str], limits: ValidationSettings,
    *, quarantined: int,
) -> None:
    share = quarantined / max(1, quarantined + frame.height)
    broken = failures(frame, classes, limits)
    summary.values |= {"rows": frame.height, "quarantined": quarantined,
                       "quarantined_share": round(share, 6)}
    summary.tables["schema_failures"] = [dict(row) for row in broken]
    counts = dict(frame.group_by("label").len().sort("label").iter_rows())
    if counts:
        summary.add_picture("images_per_class", bars(
            "Images per class", list(counts), {"images": [float(n) for n in counts.values()]}))
    summary.check("manifest_schema", passed=not broken, failures=len(broken),
                  description="every manifest row satisfies the pandera schema" if not broken
                  else f"{broken[0]['column']}: {broken[0]['check']}")
    summary.check("quarantined_share", passed=share <= limits.max_quarantined_share,
                  share=share, limit=limits.max_quarantined_share,
                  description=f"{quarantined} images ({share:.2%}) are quarantined; at most "
                  f"{limits.max_quarantined_share:.2%} may be")


def _summarize_bad(summary: Summary, bad: list[Row]) -> None:
    reasons: dict[str, list[Row]] = {}
    for row in bad:
        reasons.setdefault(row["reason"], []).append(row)
    summary.values["rows"] = len(bad)
    summary.tables["reasons"] = [
        {"reason": reason, "images": len(rows), "example": rows[0]["source"],
         "detail": rows[0]["detail"]} for reason, rows in reasons.items()
    ]
    tiles = [(reason, [tile for row in rows[:10] if (tile := _tile(row["content"])) is not None])
             for reason, rows in reasons.items()]
    if shown := [(reason, images) for reason, images in tiles if images]:
        summary.add_picture("examples", contact_sheet(shown))


def _tile(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """A small picture of a bad image, where its bytes show anything at all.

    Only small files are tried: a quarantined image may be a decompression bomb.
    """
    if not 0 < len(content) < 100_000:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_COLOR_8
                             if len(content) > 20_000 else cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return None if image is None or image.size > 12_000_000 else np.asarray(image, np.uint8)
