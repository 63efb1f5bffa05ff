"""Build of ``raw_images``: what identifies a source's content, and its snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlops_assets.config import DatasetSettings
from mlops_assets.pictures import contact_sheet
from mlops_assets.provenance.hashing import digest_files, sha256_json
from mlops_assets.raw.feedback import READ, FeedbackSource
from mlops_assets.raw.labelled import READERS, open_images, open_labelled, open_source
from mlops_assets.raw.sample import Sample
from mlops_assets.raw.snapshot import write_snapshot
from mlops_assets.raw.sources import RawImage, Source, SourceError
from resources.folders import Folder, LocalFolder, hash_listing, list_files, show_path
from resources.steps import Workspace


def describe_source(settings: DatasetSettings) -> dict[str, Any]:
    """The settings of the source and a hash of every file below it, so that a change is seen.

    Of what is not on a disk it is a hash of what its file system tells of each file: sizes, tags.

    Raises:
        FolderError: the folder is missing or may not be read.
        SourceError: the dataset is not below its root.
    """
    files = (sha256_json(_list_torchvision(settings)) if settings.source == "torchvision"
             else hash_folder(open_images(settings)))
    return say(settings) | {"files_sha256": files}


def hash_folder(folder: Folder) -> str:
    """One hash of all files: of their bytes on a disk, else of what the file system tells."""
    if isinstance(folder, LocalFolder):
        return hash_listing(list_files(folder, threads=READERS))
    return sha256_json({show_path(path): mark for path, mark in folder.mark().items()})


def say(settings: DatasetSettings) -> dict[str, Any]:
    """The settings that say how images are read from a source."""
    return settings.model_dump(mode="json", include={
        "source", "name", "limit", "classes", "table", "columns"})


def _list_torchvision(settings: DatasetSettings) -> dict[str, str]:
    root = settings.path
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}; run `mlops data fetch`")
    # CIFAR-10 unpacks beside, under a name of its own.
    base = root / ("cifar-10-batches-py" if settings.name == "CIFAR10" else settings.name)
    return digest_files(base) if base.is_dir() else {}


def build_snapshot(settings: DatasetSettings, work: Workspace) -> None:
    """Fill ``raw_images`` of a workspace from the configured source."""
    _fill_from(settings, work, open_source(settings))


def build_landed(settings: DatasetSettings, folder: Folder, work: Workspace) -> None:
    """Fill ``raw_images`` of a workspace from a folder of the landing zone."""
    _fill_from(settings, work, open_labelled(settings, folder, least=1))


def _fill_from(settings: DatasetSettings, work: Workspace, source: Source) -> None:
    _fill(settings, work, source.images(), source.classes)
    work.summary("raw_images").values["left_out"] = source.left_out


def build_feedback(settings: DatasetSettings, images: Path, limit: int, work: Workspace) -> None:
    """Fill ``raw_images`` of a workspace from production: see ``FeedbackSource``."""
    folders: dict[str, list[Path]] = {name: [] for name in (*READ, "raw_images")}
    for ref in (ref for refs in work.pins.values() for ref in refs):
        folders[ref.asset].append(work.store.path(ref))
    source = FeedbackSource(folders, images, limit)
    _fill(settings, work, source.images_of(), source.classes)
    work.summary("raw_images").values["no_longer_kept"] = source.gone


def _fill(
    settings: DatasetSettings, work: Workspace, images: Iterable[RawImage],
    classes: tuple[str, ...],
) -> None:
    out, summary = work.out("raw_images"), work.summary("raw_images")
    with Sample(settings.pixels) as sample:
        facts = write_snapshot(out, sample.watch(images), classes)
        rows = sample.rows()
    missing = [name for name in classes if not facts.per_class.get(name)]
    summary.values |= {"rows": facts.images, "bytes": facts.bytes, "shards": facts.shards,
                       "classes": len(classes)}
    summary.tables["images_per_class"] = [
        {"class": name, "images": count} for name, count in sorted(facts.per_class.items())
    ]
    summary.check("every_class_has_images", passed=not missing, blocking=False,
                  description=f"without images: {', '.join(missing) or 'none'}")
    if rows:
        summary.add_picture("sample", contact_sheet(rows))
