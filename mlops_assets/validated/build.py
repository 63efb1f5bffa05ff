"""Build of ``validated_images`` and ``quarantined_images`` from one raw snapshot."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.config import ValidationSettings
from mlops_assets.contracts.manifest import (
    CLASSES_FILE,
    HASH_SCHEMA,
    HASHES_FILE,
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
from mlops_assets.validated.duplicates import find_duplicates
from mlops_assets.validated.inspection import Facts, Fault, inspect_image
from mlops_assets.validated.issues import LOOK_SCHEMA, Look, list_issues
from mlops_assets.validated.schema import failures
from mlops_assets.validated.thumbnails import thumbnails_of
from resources.engine import Engine
from resources.steps import Workspace

Row = dict[str, Any]
# Few enough that cores end together also where images are large.
CHUNK_ROWS: Final = 32
TABLE_CHUNKS: Final = 128
GROUP_ROWS: Final = 1 << 17
SMALL_BYTES: Final = 8192
ALONE: Final = threading.Lock()
FACTS: Final = ("format", "mode", "width", "height", "mean", "std", "thumbnail")
SHOWN: Final = 8
NUMBERS: Final = attrgetter(*LOOK_SCHEMA)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of a part of a snapshot: good ones without their bytes, bad ones with the reason."""

    good: list[Row]
    looks: list[Look]
    bad: list[Row]


def build_validated(
    limits: ValidationSettings, work: Workspace, engine: Engine, *, released: Sequence[str] = ()
) -> None:
    """Inspect every image of the snapshot; good rows to the manifest, the rest to quarantine.

    Of images that a person ``released`` only those are quarantined that can not be used at all.
    """
    let_in = frozenset(released)
    snapshot = work.read("raw_images")
    classes: list[str] = json.loads((snapshot / CLASSES_FILE).read_bytes())
    parts, looks = [MANIFEST_SCHEMA.empty_table()], [pl.DataFrame(schema=LOOK_SCHEMA)]
    bad: list[Row] = []
    judged = engine.run(partial(_judging, classes, limits, let_in), _chunks(snapshot))
    for some in _together(judged):
        parts.append(pa.Table.from_pylist(some.good, schema=MANIFEST_SCHEMA))
        looks.append(pl.DataFrame([*map(NUMBERS, some.looks)], LOOK_SCHEMA, orient="row"))
        bad += some.bad
    manifest = pa.concat_tables(parts)
    thumbnails = thumbnails_of(manifest)
    images = pl.DataFrame(pl.from_arrow(manifest))
    duplicates = find_duplicates(images)
    bad += _with_content(work, images, duplicates)
    alone = np.ones(images.height, np.bool_)
    alone[list(duplicates)] = False
    images, kept = images.filter(alone), pl.concat(looks).filter(alone)
    issues = list_issues(images, kept, thumbnails[alone], limits.issues)
    _write(work, classes, images, bad, limits, let_in)
    _write_hashes(work, images.with_columns(kept["phash"]))
    _write_issues(work, issues)


def _chunks(snapshot: Path) -> Iterator[list[Row]]:
    for batch in read_batches(snapshot):
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            yield batch.slice(start, CHUNK_ROWS).to_pylist()


def _together(judged: Iterable[Judged]) -> Iterator[Judged]:
    """As many at once as make a table worth its while."""
    judged = iter(judged)
    while some := list(islice(judged, TABLE_CHUNKS)):
        yield Judged(*([row for each in some for row in getattr(each, name)]
                       for name in ("good", "looks", "bad")))


def _judging(
    classes: list[str], limits: ValidationSettings, let_in: frozenset[str]
) -> Callable[[list[Row]], Judged]:
    return partial(_judge_rows, classes=classes, limits=limits, let_in=let_in)


def _judge_rows(
    rows: list[Row], *, classes: list[str], limits: ValidationSettings, let_in: frozenset[str]
) -> Judged:
    # Threads that hand each other the interpreter every few microseconds are slower than one.
    small = sum(len(row["content"]) for row in rows) < SMALL_BYTES * len(rows)
    with ALONE if small else nullcontext():
        return _judge_each(rows, classes, limits, let_in)


def _judge_each(
    rows: list[Row], classes: list[str], limits: ValidationSettings, let_in: frozenset[str]
) -> Judged:
    judged = Judged([], [], [])
    for row in rows:
        verdict = _judge(row, classes, limits, let_in)
        if isinstance(verdict, Fault):
            judged.bad.append({**row, "reason": verdict.reason, "detail": verdict.detail})
            continue
        facts = {name: getattr(verdict, name) for name in FACTS}
        judged.good.append({**row, **facts, "bytes": len(row["content"])})
        del judged.good[-1]["content"]
        judged.looks.append(verdict.look)
    return judged


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
    work: Workspace, images: pl.DataFrame, duplicates: dict[int, Fault]
) -> Iterator[Row]:
    """Quarantine rows of duplicates, whose bytes are read once more from the snapshot."""
    known = images.select("source", "image_id")
    wanted = {known.row(row): fault for row, fault in duplicates.items()}
    for batch in read_batches(work.read("raw_images")) if wanted else ():
        names = zip(batch.column("source").to_pylist(), batch.column("image_id").to_pylist(),
                    strict=True)
        for index, name in enumerate(names):
            if name in wanted:
                row: Row = batch.slice(index, 1).to_pylist()[0]
                fault = wanted[name]
                yield {**row, "reason": fault.reason, "detail": fault.detail}


def _write(
    work: Workspace, classes: list[str], images: pl.DataFrame, bad: list[Row],
    limits: ValidationSettings, let_in: frozenset[str],
) -> None:
    images = images.sort("image_id", "source")
    bad.sort(key=lambda row: (row["reason"], row["source"]))
    out = work.out("validated_images")
    with pq.ParquetWriter(out / MANIFEST_FILE, MANIFEST_SCHEMA, compression="zstd") as writer:
        for part in images.iter_slices(GROUP_ROWS):
            writer.write_table(part.to_arrow().cast(MANIFEST_SCHEMA))
    (out / CLASSES_FILE).write_bytes((work.read("raw_images") / CLASSES_FILE).read_bytes())
    quarantine = pa.Table.from_pylist(
        [{name: row[name] for name in QUARANTINE_SCHEMA.names} for row in bad],
        schema=QUARANTINE_SCHEMA,
    )
    pq.write_table(quarantine, work.out("quarantined_images") / QUARANTINE_FILE, compression="zstd")
    _summarize_good(work.summary("validated_images"), images, classes, limits, let_in,
                    quarantined=len(bad))
    _summarize_bad(work.summary("quarantined_images"), bad)


def _write_hashes(work: Workspace, images: pl.DataFrame) -> None:
    hashes = images.sort("image_id", "source").select("phash").to_arrow().cast(HASH_SCHEMA)
    pq.write_table(hashes, work.out("validated_images") / HASHES_FILE, compression="zstd")


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
