"""Rows of a dataset with the proof that they stand under its Merkle root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.manifest import ROW_SCHEMA, ROWS_FILE
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.merkle import MembershipProof, verify
from mlops_assets.provenance.rows import dataset_leaves, dataset_rows
from mlops_assets.provenance.tree_file import TreeFile, tree_bytes
from resources.durable import write_parts

FOLDER: Final = "work/merkle"


class DamagedDataset(PlatformError):
    """A dataset's rows are not those that its version names."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A row of a dataset; ``proof`` is of its canonical JSON as a leaf, the header being leaf 0."""

    row: dict[str, str]
    proof: MembershipProof


def open_tree(home: Path, root: str) -> TreeFile:
    """The tree of a dataset, made on first use.

    Raises:
        FileNotFoundError: the dataset is not in this home.
    """
    path = _place(home, root)
    with suppress(FileNotFoundError, ValueError):
        return TreeFile(path)
    folder = home / "store" / "dataset" / root
    keys = [bytes.fromhex(row["image_id"]) for row in dataset_rows(folder, ["image_id"])]
    write_parts(path, tree_bytes(keys, dataset_leaves(folder)))
    return TreeFile(path)


def prove_images(home: Path, root: str, image_ids: Sequence[str]) -> list[Proven | None]:
    """Row and proof of each image in a dataset; None for one that is not in it.

    Raises:
        FileNotFoundError: the dataset is not in this home.
        DamagedDataset: its rows do not give its Merkle root.
    """
    found = list(_prove(home, root, image_ids))
    if None in found or not _all_verify(found, root):
        # The kept tree may be the damaged one.
        _place(home, root).unlink(missing_ok=True)
        found = list(_prove(home, root, image_ids))
        if not _all_verify(found, root):
            raise DamagedDataset(f"the rows of dataset {root} do not give its Merkle root; see "
                                 "`mlops verify`")
    return found


def _place(home: Path, root: str) -> Path:
    return home / FOLDER / f"{root}.tree"


def _prove(home: Path, root: str, image_ids: Sequence[str]) -> Iterator[Proven | None]:
    with open_tree(home, root) as tree:
        for image_id in image_ids:
            at = tree.find(bytes.fromhex(image_id))
            if at is None:
                yield None
                continue
            try:
                row = _row(home / "store" / "dataset" / root / ROWS_FILE, at)
            except (ValueError, IndexError) as error:
                raise DamagedDataset(f"dataset {root} can not be read: {error}") from error
            yield Proven(row, tree.prove(at + tree.leaves - tree.keys))


def _all_verify(found: Sequence[Proven | None], root: str) -> bool:
    return all(verify(canonical_json(each.row), each.proof, root) for each in found if each)


def _row(path: Path, number: int) -> dict[str, str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:
        before = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < before + rows:
                found = file.read_row_group(group, columns=ROW_SCHEMA.names)
                row: dict[str, str] = found.slice(number - before, 1).to_pylist()[0]
                return row
            before += rows
    raise IndexError(f"{path} has no row {number}")
