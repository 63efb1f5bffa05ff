"""Build of ``image_features``: what is known of each image of a batch, under its id.

Nothing is computed that another step has: embeddings and statistics are those of ``embeddings``,
perceptual hashes and thumbnails those of the validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.image_features import FEATURES_FILE, FEATURES_SCHEMA
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.contracts.manifest import HASHES_FILE, MANIFEST_FILE
from mlops_assets.contracts.summary import Summary
from mlops_assets.features.embeddings import EMBEDDINGS_FILE, IDS_FILE, STATISTICS_FILE
from mlops_assets.pictures import SERIES, new_figure, to_png
from mlops_assets.provenance.record import InputRef, ProvenanceRecord, read_record
from mlops_assets.validated.issues import near_duplicates
from mlops_assets.validated.thumbnails import read_thumbnails
from resources.steps import Workspace
from resources.store import ArtifactStore

EARLIER = "earlier "


class StaleInput(PlatformError):
    """A batch was made before its steps kept what features are made of."""


def pin_known(store: ArtifactStore, batch: str) -> dict[str, InputRef]:
    """A batch, the snapshot it is of, and the batches that were known before it, by name.

    Raises:
        MissingArtifact: the batch is not validated yet.
    """
    mine = store.pin("validated_images", batch)
    snapshots = {ref: _snapshot_of(store, ref) for ref in store.pin_all("validated_images")
                 } | {mine: _snapshot_of(store, mine)}
    times = {ref: (read_record(store.path(raw)).created_at, str(ref.partition))
             for ref, raw in snapshots.items()}
    return {"validated_images": mine, "raw_images": snapshots[mine],
            **{f"{EARLIER}{ref.partition}": ref for ref, time in times.items()
               if time < times[mine]}}


def _snapshot_of(store: ArtifactStore, ref: InputRef) -> InputRef:
    record: ProvenanceRecord = read_record(store.path(ref))
    return next(parent for parent in record.inputs if parent.asset == "raw_images")


def build_image_features(near_rms: float, work: Workspace) -> None:
    """Fill ``image_features`` of one batch, sorted by image id.

    A row became known when its batch's snapshot was taken: a time that the snapshot's record
    holds, so that the same inputs give the same bytes.

    Raises:
        StaleInput: an input is of before its step kept hashes or statistics.
    """
    mine, embedded = work.read("validated_images"), work.read("embeddings")
    earlier = [work.read(name) for name in sorted(work.pins) if name.startswith(EARLIER)]
    wanted = pl.read_parquet(mine / MANIFEST_FILE, columns=["image_id"])["image_id"]
    ids = np.load(embedded / IDS_FILE).astype(np.str_)
    vectors: NDArray[np.float32] = np.load(embedded / EMBEDDINGS_FILE)
    statistics: NDArray[np.float32] = np.load(_there(embedded, STATISTICS_FILE, "embeddings"))
    groups = group_images([*earlier, mine], near_rms)
    rows = len(ids)
    ends = np.arange(rows + 1, dtype=np.int32) * vectors.shape[1]
    moment = read_record(work.read("raw_images")).created_at
    table = pa.table({
        "image_id": ids.tolist(),
        "event_timestamp": pa.array([moment] * rows, pa.timestamp("us", tz="UTC")),
        "embedding": pa.ListArray.from_arrays(ends, pa.array(vectors.reshape(-1))),
        **dict(zip(NAMES, statistics.T, strict=True)),
        "near_duplicate_group": [groups.get(each, each) for each in ids.tolist()],
        "batch": [str(work.partition)] * rows,
    }, schema=FEATURES_SCHEMA)
    pq.write_table(table, work.out("image_features") / FEATURES_FILE, compression="zstd")
    _summarize(work.summary("image_features"), table, vectors, statistics, set(wanted))


def group_images(folders: Sequence[Path], near_rms: float) -> dict[str, str]:
    """The smallest id of each image's near duplicates, of images that have any.

    ``folders`` are those of ``validated_images``. A group is what near duplicates of near
    duplicates lead to.
    """
    frames = [pl.concat([
        pl.read_parquet(folder / MANIFEST_FILE, columns=["image_id"]),
        pl.read_parquet(_there(folder, HASHES_FILE, "validated_images"))], how="horizontal")
        for folder in folders]
    images = (pl.concat(frames).with_row_index("at").unique("image_id", keep="first")
              .filter(pl.col("phash").is_not_null()).sort("image_id"))
    names, places = images["image_id"].to_list(), images["at"].cast(pl.Int64).to_numpy()
    thumbnails = read_thumbnails(folders)[places]
    first = near_duplicates(images["phash"].to_numpy(), np.arange(len(names)), thumbnails, near_rms)
    found: dict[str, str] = {}
    # Ascending: the image that one leads to has its group already.
    for row in sorted(first):
        head = names[first[row]]
        found[head] = found.get(head, head)
        found[names[row]] = found[head]
    return found


def _there(folder: Path, file: str, asset: str) -> Path:
    if not (folder / file).is_file():
        raise StaleInput(f"`{asset}` {folder.name[:16]} has no {file}, as it was made by an "
                         f"earlier release; materialize `{asset}` of every batch again")
    return folder / file


def _summarize(
    summary: Summary, table: pa.Table, vectors: NDArray[np.float32],
    statistics: NDArray[np.float32], wanted: set[str],
) -> None:
    groups = pl.Series(table.column("near_duplicate_group").to_pylist(), dtype=pl.String)
    known = set(table.column("image_id").to_pylist())
    sizes = groups.value_counts().filter(pl.col("count") > 1)
    alone = {*groups.unique()} & known
    summary.values |= {"rows": table.num_rows, "dimensions": int(vectors.shape[1]),
                       "near_duplicate_groups": sizes.height,
                       "like_an_earlier_batch": groups.n_unique() - len(alone)}
    finite = bool(np.isfinite(vectors).all() and np.isfinite(statistics).all())
    summary.check("finite", passed=finite, description="every value is a finite number")
    summary.check("complete", passed=known == wanted, known=len(known), wanted=len(wanted),
                  description="every validated image has its features")
    if not table.num_rows:
        return
    figure, axes = new_figure(8.0, 2.6, columns=3)
    for axis, name in zip(axes, ("pixel_mean", "pixel_std", "sharpness"), strict=True):
        axis.hist(statistics[:, NAMES.index(name)], bins=50, color=SERIES[0])
        axis.set_title(name, fontsize=10, loc="left")
    summary.add_picture("statistics", to_png(figure))
