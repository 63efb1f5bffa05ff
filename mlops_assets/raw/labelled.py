"""Own images: a folder for each class, or a table that names files and their labels.

Both read any ``Folder``: a disk, a bucket, an archive. A name leads nowhere but below the root.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Final

import polars as pl

from mlops_assets.config import PROJECT_ROOT, DatasetSettings, TableColumns
from mlops_assets.raw.sources import RawImage, Source, SourceError, TorchvisionSource
from resources.folders import (
    Folder,
    LocalFolder,
    list_paths,
    one_line,
    open_root,
    read_file,
    show_path,
)
from resources.landing import Part
from resources.read_ahead import read_files

WHERE: Final = "`root` in configs/dataset.yaml"
# Object stores answer slowly and many at a time; a disk does not mind.
READERS: Final = 16
SPLITS: Final = frozenset({"", "train", "test"})
NAMED: Final = 3


class ImageFolder:
    """``<class>/*``: every plain file below a class folder is an image of that class.

    Hidden files are left out, and files beside the class folders are counted in ``left_out``. A
    file that is no image is passed on: validation says so.

    Raises:
        SourceError: fewer than ``least`` class folders or more than ``most``, or a class without
            a file.
        FolderError: the folder can not be listed.
    """

    def __init__(
        self, folder: Folder, classes: tuple[str, ...] | None, *, least: int, most: int
    ) -> None:
        self._folder: Final = folder
        self._files: dict[str, list[str]] = {}
        self.left_out = 0
        if isinstance(folder, LocalFolder):
            self._files = {path.name: [] for path in sorted(folder.root.iterdir())
                           if path.is_dir() and not path.is_symlink()
                           and not path.name.startswith(".")}
        for path in list_paths(folder):
            label, inside, _ = path.partition("/")
            if inside:
                self._files.setdefault(label, []).append(path)
            else:
                self.left_out += 1
        if len(self._files) < least:
            raise SourceError(
                f"the root has {len(self._files)} class folders; lay the images out as "
                f"<root>/<class>/<file>, with at least {least} classes, or set {WHERE}")
        if len(self._files) > most:
            raise SourceError(
                f"the root has {len(self._files)} class folders; is it one level off? If they are "
                "meant, raise `max_classes` in configs/dataset.yaml")
        empty = [name for name, files in self._files.items() if not files]
        if empty:
            raise SourceError(f"class folder {show_path(empty[0])} has no file; fill it or remove "
                              f"it{_more(len(empty))}")
        self._classes: Final = classes or tuple(show_path(name) for name in sorted(self._files))

    @property
    def classes(self) -> tuple[str, ...]:
        """The configured classes, or the names of the class folders, sorted."""
        return self._classes

    def images(self) -> Iterator[RawImage]:
        """Files by class, then by path, with their bytes as they are.

        Raises:
            FolderError: one can not be read, or is a link that leads out of the root.
        """
        paths = [path for name in sorted(self._files) for path in sorted(self._files[name])]
        contents = read_files(self._folder, paths, threads=READERS)
        for path, content in zip(paths, contents, strict=True):
            yield RawImage(show_path(path), show_path(path.partition("/")[0]), "", content)


class LabelTable:
    """A CSV or Parquet file that names images below the root and their labels, in its order.

    Columns are ``path``, ``label`` and, if there is one, the official ``split`` (``train`` or
    ``test``), under the names that the settings give.

    Raises:
        SourceError: the table can not be read, lacks a column or a value, names a file that is
            not there or leads out of the root, or has too few labels or too many.
        FolderError: the folder can not be listed.
    """

    def __init__(
        self, folder: Folder, table: str, columns: TableColumns,
        classes: tuple[str, ...] | None, *, least: int, most: int,
    ) -> None:
        self._folder: Final = folder
        self._rows = _read_table(read_file(folder, table), table, columns)
        known = set(list_paths(folder))
        # Of a folder that was taken in parts, the table names the files of all of them.
        there = folder.everything() if isinstance(folder, Part) else known
        self._rows = self._rows.filter(
            ~pl.col("path").is_in(sorted(map(show_path, there - known))))
        paths = self._rows["path"].to_list()
        twice = self._rows.filter(pl.col("path").is_duplicated())["path"].unique().to_list()
        _refuse(twice, f"{table} names files twice", "leave each one row")
        outside = [path for path in paths
                   if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts]
        _refuse(outside, f"{table} names files out of the root", "name them below it")
        gone = [path for path in paths if path not in known]
        _refuse(gone, f"{table} names files that are not below the root",
                f"bring them there, or set {WHERE}")
        found = sorted(set(self._rows["label"].to_list()))
        if not least <= len(found) <= most:
            raise SourceError(f"{table} has {len(found)} labels in column `{columns.label}`; "
                              f"{least} to {most} are possible, see `max_classes` and `columns` in "
                              "configs/dataset.yaml")
        self._classes: Final = classes or tuple(found)
        self.left_out = len(known - set(paths) - {table})

    @property
    def classes(self) -> tuple[str, ...]:
        """The configured classes, or the labels of the table, sorted."""
        return self._classes

    def images(self) -> Iterator[RawImage]:
        """In the order of the table, with their bytes as they are.

        Raises:
            FolderError: one can not be read, or is a link that leads out of the root.
        """
        paths = self._rows["path"].to_list()
        contents = read_files(self._folder, paths, threads=READERS)
        rows = self._rows.iter_rows()
        for (path, label, split), content in zip(rows, contents, strict=True):
            yield RawImage(show_path(path), label, split, content)


def _read_table(content: bytes, name: str, columns: TableColumns) -> pl.DataFrame:
    """``path``, ``label`` and ``split`` as text."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise SourceError(f"{name} is neither .csv nor .parquet; see `table` in "
                          "configs/dataset.yaml")
    try:
        frame = (pl.read_parquet(io.BytesIO(content)) if suffix == ".parquet"
                 else pl.read_csv(content, infer_schema=False))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{name} can not be read: {one_line(error)}") from error
    wanted = {"path": columns.path, "label": columns.label}
    if columns.split:
        wanted["split"] = columns.split
    missing = [column for column in wanted.values() if column not in frame.columns]
    if missing:
        raise SourceError(f"{name} has no column `{missing[0]}`, but {', '.join(frame.columns)}; "
                          "see `columns` in configs/dataset.yaml")
    frame = frame.select(pl.col(column).cast(pl.String).alias(ours)
                         for ours, column in wanted.items())
    if "split" not in frame.columns:
        frame = frame.with_columns(split=pl.lit(""))
    frame = frame.with_columns(pl.col("split").fill_null(""))
    for column in ("path", "label"):
        bad = frame.with_row_index().filter(
            pl.col(column).is_null() | (pl.col(column).str.strip_chars() == ""))
        if bad.height:
            raise SourceError(f"{name} has no {column} in row {bad['index'][0] + 1}"
                              f"{_more(bad.height)}")
    odd = sorted(set(frame["split"].to_list()) - SPLITS)
    if odd:
        raise SourceError(f"{name} has the split `{odd[0]}`; `train` and `test` are known")
    if not frame.height:
        raise SourceError(f"{name} has no row")
    return frame


def _refuse(paths: Sequence[str], what: str, fix: str) -> None:
    if paths:
        shown = ", ".join(f"`{show_path(path)}`" for path in paths[:NAMED])
        raise SourceError(f"{what}: {shown}{_more(len(paths), NAMED)}; {fix}")


def _more(count: int, shown: int = 1) -> str:
    return f" (and {count - shown} more)" if count > shown else ""


def open_images(settings: DatasetSettings) -> Folder:
    """The folder that ``root`` names.

    Raises:
        FolderError: it is not there, or may not be read.
    """
    return open_root(settings.root, base=PROJECT_ROOT, setting=WHERE)


def open_source(settings: DatasetSettings) -> Source:
    """The source that ``configs/dataset.yaml`` describes.

    Raises:
        SourceError: it is missing, empty or not laid out as it should be.
        FolderError: it may not be read.
    """
    if settings.source == "torchvision":
        return TorchvisionSource(settings.name, settings.path, settings.limit)
    return open_labelled(settings, open_images(settings))


def open_labelled(settings: DatasetSettings, folder: Folder, *, least: int = 2) -> Source:
    """A folder as the settings say that it is laid out, with at least so many classes."""
    if settings.source == "table":
        return LabelTable(folder, settings.table, settings.columns, settings.classes,
                          least=least, most=settings.max_classes)
    return ImageFolder(folder, settings.classes, least=least, most=settings.max_classes)
