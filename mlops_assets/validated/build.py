"""Build of ``validated_images`` and ``quarantined_images`` from one raw snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    ISSUE_SCHEMA,
    ISSUES_FILE,
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
from mlops_assets.validated.issues import Look, list_issues
from mlops_assets.validated.schema import failures
from resources.steps import Workspace

Row = dict[str, Any]
CHUNK_ROWS: Final = 128
FACTS: Final = ("format", "mode", "width", "height", "mean", "std", "thumbnail")
SHOWN: Final = 8


def build_validated(
    limits: ValidationSettings, work: Workspace, *, threads: int, released: Sequence[str] = ()
) -> None:
    """Inspect every image of the snapshot; good rows to the manifest, the rest to quarantine.

    Of images that a person ``released`` only those are quarantined that can not be used at all.
    """
    let_in = frozenset(released)
    snapshot = work.read("raw_images")
    classes: list[str] = json.loads((snapshot / CLASSES_FILE).read_bytes())
    good: list[Row] = []
    bad: list[Row] = []
    looks: list[Look] = []
    with ThreadPoolExecutor(threads) as pool:
        for batch in read_batches(snapshot):
            rows = batch.to_pylist()
            chunks = [rows[at : at + CHUNK_ROWS] for at in range(0, len(rows), CHUNK_ROWS)]
            verdicts = pool.map(
                lambda chunk: [_judge(row, classes, limits, let_in) for row in chunk], chunks)
            for row, verdict in zip(rows, chain.from_iterable(verdicts), strict=True):
                if isinstance(verdict, Fault):
                    bad.append({**row, "reason": verdict.reason, "detail": verdict.detail})
                else:
                    size = len(row.pop("content"))
                    facts = {name: getattr(verdict, name) for name in FACTS}
                    good.append({**row, **facts, "bytes": size})
                    looks.append(verdict.look)
    claims = [Claim(row["image_id"], row["label"], row["origin_split"]) for row in good]
    duplicates = find_duplicates(claims)
    if duplicates:
        bad += _with_content(work, good, duplicates)
        looks = [look for index, look in enumerate(looks) if index not in duplicates]
        good = [row for index, row in enumerate(good) if index not in duplicates]
    issues = list_issues(good, looks, limits.issues)
    _write(work, classes, good, bad, limits, let_in)
    _write_issues(work, issues)


def _judge(
    row: Row, classes: list[str], limits: ValidationSettings, let_in: frozenset[str]
) -> Facts | Fault:
    if row["label"] not in classes:
        return Fault("unknown-class", f"`{row['label']}` is none of {', '.join(classes)[:120]}")
    if row["image_id"] in let_in:
        # Neither its size nor its extension nor that it shows little keeps it out.
        return inspect_image(row["content"], "", limits.model_copy(
            update={"min_side": 1, "blank_std": 0.0}))
    return inspect_image(row["content"], row["source"], limits)


def _with_content(
    work: Workspace, good: list[Row], duplicates: dict[int, Fault]
) -> Iterator[Row]:
    """Quarantine rows of duplicates, whose bytes are read once more from the snapshot."""
    wanted = {(good[index]["source"], good[index]["image_id"]): fault
              for index, fault in duplicates.items()}
    for batch in read_batches(work.read("raw_images")):
        names = zip(batch.column("source").to_pylist(), batch.column("image_id").to_pylist(),
                    strict=True)
        for index, name in enumerate(names):
            if name in wanted:
                row: Row = batch.slice(index, 1).to_pylist()[0]
                fault = wanted[name]
                yield {**row, "reason": fault.reason, "detail": fault.detail}


def _write(
    work: Workspace, classes: list[str], good: list[Row], bad: list[Row],
    limits: ValidationSettings, let_in: frozenset[str],
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
    _summarize_good(work.summary("validated_images"), frame, classes, limits, let_in,
                    quarantined=len(bad))
    _summarize_bad(work.summary("quarantined_images"), bad)


def _write_issues(work: Workspace, issues: list[Row]) -> None:
    """The list of odd images, a count of each kind, and pictures of some."""
    pq.write_table(pa.Table.from_pylist(issues, schema=ISSUE_SCHEMA),
                   work.out("validated_images") / ISSUES_FILE, compression="zstd")
    summary = work.summary("validated_images")
    kinds: dict[str, list[Row]] = {}
    for row in issues:
        kinds.setdefault(row["kind"], []).append(row)
    summary.values["odd_images"] = len({row["image_id"] for row in issues})
    summary.tables["odd_kinds"] = [
        {"kind": kind, "images": len(rows), "example": rows[0]["source"],
         "detail": rows[0]["detail"]} for kind, rows in kinds.items()]
    wanted = {row["source"]: kind for kind, rows in kinds.items() for row in rows[:SHOWN]}
    tiles: dict[str, list[np.ndarray[Any, np.dtype[np.uint8]]]] = {}
    for batch in read_batches(work.read("raw_images"), ["source", "content"]) if wanted else ():
        contents = batch.column("content")
        for index, source in enumerate(batch.column("source").to_pylist()):
            if source in wanted and (tile := _tile(contents[index].as_py())) is not None:
                tiles.setdefault(wanted[source], []).append(tile)
    if tiles:
        summary.add_picture("odd_examples", contact_sheet(sorted(tiles.items())))


def _summarize_good(
    summary: Summary, frame: pl.DataFrame, classes: list[str], limits: ValidationSettings,
    let_in: frozenset[str], *, quarantined: int,
) -> None:
    share = quarantined / max(1, quarantined + frame.height)
    released = pl.col("image_id").is_in(sorted(let_in))
    broken = failures(frame.filter(~released), classes, limits)
    summary.values |= {"rows": frame.height, "quarantined": quarantined,
                       "quarantined_share": round(share, 6),
                       "released": frame.filter(released).height}
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
