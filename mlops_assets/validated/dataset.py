"""Build of ``dataset``: rows of all good batches, split without leakage, under a Merkle root."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_assets.config import SplitShares, ValidationSettings
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.manifest import (
    CLASSES_FILE,
    MANIFEST_FILE,
    ROW_SCHEMA,
    ROWS_FILE,
    SPLITS,
    Split,
)
from mlops_assets.contracts.summary import Summary
from mlops_assets.pictures import bars
from mlops_assets.provenance.hashing import canonical_json, digest_files
from mlops_assets.provenance.merkle import merkle_root
from mlops_assets.provenance.rows import HEADER_FILE, make_header, row_leaves
from mlops_assets.validated.batches import check_batches
from mlops_assets.validated.duplicates import within
from mlops_assets.validated.thumbnails import read_thumbnails
from resources.steps import Workspace

EXCLUDED_FILE: Final = "excluded.parquet"
# Of many rows every column weighs: those of a row of the dataset, those that batches differ in.
KEPT: Final = ["image_id", "label", "origin_split", "source"]
COMPARED: Final = ["label", "width", "height", "bytes", "mean", "std"]
AT: Final = "at"
GROUP_ROWS: Final = 1 << 17


class NoGoodBatch(PlatformError):
    """No batch passed its blocking checks."""


def assign_split(image_id: str, origin_split: str, shares: SplitShares) -> Split:
    """The split of an image: a function of its bytes alone, so it never changes.

    An official test part stays test, and its training part has no test rows. Everything else
    goes by 64 bits of a hash of the image id.
    """
    if origin_split == "test":
        return "test"
    digest = hashlib.sha256(f"split-v1:{image_id}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < shares.validation:
        return "validation"
    if origin_split == "" and position < shares.validation + shares.test:
        return "test"
    return "train"


def build_dataset(
    shares: SplitShares, limits: ValidationSettings, work: Workspace,
    forgotten: Sequence[str] = (),
) -> None:
    """Merge the manifests of all good batches into the rows that everything else reads.

    Images whose ids are ``forgotten`` are in no split, and are listed as excluded.

    Raises:
        NoGoodBatch: every batch failed a blocking check.
    """
    manifests = work.read_every("validated_images")
    allowed = work.may_go_on("validated_images")
    batches = {batch: folder for batch, folder in manifests.items() if allowed[batch]}
    if not batches:
        raise NoGoodBatch("no batch of `validated_images` passed its checks; see their reasons")
    classes: list[str] = []
    for folder in batches.values():
        for name in json.loads((folder / CLASSES_FILE).read_bytes()):
            if name not in classes:
                classes.append(name)
    out, summary = work.out("dataset"), work.summary("dataset")
    check_batches(summary, _read(batches, COMPARED), limits.max_batch_distance)
    frame = _read(batches, KEPT)
    gone = frame.filter(pl.col("image_id").is_in(list(forgotten)))
    rows, excluded = split_rows(
        frame.with_row_index(AT).filter(~pl.col("image_id").is_in(list(forgotten))),
        read_thumbnails([*batches.values()]), shares, limits)
    excluded = pl.concat([excluded, gone.select(
        "image_id", split=pl.lit(""), batch="batch", source="source",
        reason=pl.lit("forgotten"))]).sort("image_id", "batch")
    pq.write_table(excluded.to_arrow(), out / EXCLUDED_FILE, compression="zstd")
    (out / CLASSES_FILE).write_bytes(canonical_json(classes))
    summary.values |= {"rows": rows.height, "classes": len(classes), "batches": len(batches),
                       "skipped_batches": len(manifests) - len(batches),
                       "excluded": excluded.height, "forgotten": gone.height}
    _summarize(summary, rows, classes, limits)
    work.write_checks("dataset")
    header = make_header(classes, rows.height, digest_files(out))
    (out / HEADER_FILE).write_bytes(header)
    with pq.ParquetWriter(out / ROWS_FILE, ROW_SCHEMA, compression="zstd") as writer:
        root = merkle_root(row_leaves(header, _written(rows, writer)))
    work.use_merkle_version("dataset", root)
    summary.values["merkle_root"] = root


def _read(batches: Mapping[str, Path], columns: list[str]) -> pl.DataFrame:
    """Columns of all manifests, and the batch of each row."""
    return pl.concat(
        pl.read_parquet(folder / MANIFEST_FILE, columns=columns).with_columns(batch=pl.lit(batch))
        for batch, folder in batches.items())


def _written(rows: pl.DataFrame, writer: pq.ParquetWriter) -> Iterator[dict[str, str]]:
    """Each row, when it is in the file."""
    for part in rows.select(ROW_SCHEMA.names).iter_slices(GROUP_ROWS):
        writer.write_table(part.to_arrow().cast(ROW_SCHEMA))
        yield from part.iter_rows(named=True)


def split_rows(
    frame: pl.DataFrame, thumbnails: NDArray[np.uint8], shares: SplitShares,
    limits: ValidationSettings,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows with their split, and the rows left out so that no split sees another's images.

    Column ``at`` of the frame says which of the ``thumbnails`` ``[N, 256]`` is a row's.

    Of equal bytes in several batches the first batch's row stays (a test row before others). A
    near duplicate of a test image leaves training and validation; one of a validation image
    leaves training.
    """
    rows = frame.with_columns(
        split=pl.Series([
            assign_split(image_id, origin, shares)
            for image_id, origin in zip(frame["image_id"], frame["origin_split"], strict=True)
        ], dtype=pl.String)
    )
    rank = pl.col("split").replace_strict({"test": 0, "validation": 1, "train": 2})
    rows = rows.sort("image_id", rank, "batch")
    first = rows.with_columns(first=pl.col("image_id").is_first_distinct())
    excluded = [first.filter(~pl.col("first")).select(
        "image_id", "split", "batch", "source", reason=pl.lit("duplicate of another batch"))]
    rows = first.filter("first").drop("first")
    for lower, uppers in (("validation", ["test"]), ("train", ["validation", "test"])):
        queries, references = rows.filter(split=lower), rows.filter(pl.col("split").is_in(uppers))
        near = queries.filter(within(thumbnails, _places(queries), _places(references),
                                     limits.near_duplicate_rms))
        excluded.append(near.select("image_id", "split", "batch", "source",
                                    reason=pl.lit("near duplicate in a later split")))
        rows = rows.filter(~pl.col("image_id").is_in(near["image_id"].implode()))
    return rows, pl.concat(excluded).sort("image_id", "batch")


def _places(rows: pl.DataFrame) -> NDArray[np.int64]:
    return rows[AT].cast(pl.Int64).to_numpy()


def _summarize(
    summary: Summary, rows: pl.DataFrame, classes: Sequence[str], limits: ValidationSettings
) -> None:
    counts = {
        (label, split): count
        for label, split, count in rows.group_by("label", "split").len().iter_rows()
    }
    table: dict[str, Sequence[float]] = {
        split: [float(counts.get((name, split), 0)) for name in classes] for split in SPLITS
    }
    summary.tables["splits"] = [
        {"split": split, "images": int(sum(table[split]))} for split in SPLITS
    ]
    summary.add_picture("classes_by_split", bars("Images by class and split", classes, table))
    totals = [sum(table[split][i] for split in SPLITS) for i in range(len(classes))]
    least = min(totals)
    summary.check("images_per_class", passed=least >= limits.min_images_per_class,
                  least=int(least), limit=limits.min_images_per_class,
                  description=f"the smallest class has {least:.0f} images")
    ratio = max(totals) / max(1.0, least)
    summary.check("class_balance", passed=ratio <= limits.max_class_ratio, ratio=ratio,
                  limit=limits.max_class_ratio,
                  description=f"the largest class is {ratio:.1f} times the smallest")
    splits_per_image = rows.group_by("image_id").agg(pl.col("split").n_unique())["split"]
    leaks = int((splits_per_image > 1).sum()) + rows.height - rows["image_id"].n_unique()
    summary.check("no_leakage", passed=leaks == 0, leaks=leaks,
                  description="no image stands in two splits")
    present = {split for (_, split), count in counts.items() if count}
    missing = [split for split in SPLITS if split not in present]
    summary.check("every_split_has_images", passed=not missing,
                  description=f"splits without images: {', '.join(missing) or 'none'}")
