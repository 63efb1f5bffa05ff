"""Own images by config: a folder a class or a table, on a disk, in an archive or a bucket."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import polars as pl
import pytest

from mlops_assets.config import DatasetSettings, TableColumns
from mlops_assets.contracts.errors import FolderError, PlatformError
from mlops_assets.raw.build import describe_source
from mlops_assets.raw.labelled import open_source
from mlops_assets.raw.sources import SourceError
from resources.folders import LocalFolder
from resources.read_ahead import read_files

FILES = {f"{label}/{number}.png": bytes([number]) * 9 for label in ("cat", "dog")
         for number in range(3)}


def write(root: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def settings(root: object, source: str = "image_folder", **more: object) -> DatasetSettings:
    return DatasetSettings.model_validate({"source": source, "root": str(root), **more})


def read(found: DatasetSettings) -> dict[str, tuple[str, bytes]]:
    return {image.source: (image.label, image.content) for image in open_source(found).images()}


EXPECTED = {name: (name.partition("/")[0], content) for name, content in FILES.items()}


def test_a_folder_a_zip_a_tar_and_a_bucket_give_the_same_images(tmp_path: Path) -> None:
    folder = write(tmp_path / "photos")
    (folder / "README.txt").write_text("beside the classes")
    (folder / "cat" / ".hidden.png").write_bytes(b"x")
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for path in sorted(folder.rglob("*")):
            writer.write(path, path.relative_to(folder))
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for path in folder.iterdir():
            tar.add(path, path.name)
    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*.*"):
        memory.pipe(f"/own/photos/{path.relative_to(folder)}", path.read_bytes())
    try:
        roots = [folder, archive, tmp_path / "photos.tar", "memory://own/photos"]
        for root in roots:
            source = open_source(settings(root))
            assert source.classes == ("cat", "dog"), root
            assert (read(settings(root)), source.left_out) == (EXPECTED, 1), root
            described = describe_source(settings(root))
            assert described == describe_source(settings(root))
            assert str(root) not in str(described)
        before = describe_source(settings(folder))
        (folder / "cat" / "0.png").write_bytes(b"other")
        assert describe_source(settings(folder)) != before
    finally:
        memory.rm("/own", recursive=True)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_names_images_labels_and_official_splits(tmp_path: Path, kind: str) -> None:
    root = write(tmp_path)
    frame = pl.DataFrame({"file": list(FILES), "what": ["a", "b"] * 3,
                          "part": ["train", "test", None] * 2})
    if kind == "csv":
        frame.write_csv(root / "labels.csv")
    else:
        frame.write_parquet(root / "labels.parquet")
    found = settings(root, "table", table=f"labels.{kind}",
                     columns=TableColumns(path="file", label="what", split="part"))
    source = open_source(found)
    images = list(source.images())
    assert [image.source for image in images] == list(FILES)
    assert [image.label for image in images] == ["a", "b"] * 3
    assert [image.origin_split for image in images] == ["train", "test", ""] * 2
    assert (source.classes, source.left_out) == (("a", "b"), 0)


@pytest.mark.parametrize(("text", "told"), [
    ("file,label\na,b\n", r"has no column `path`, but file, label"),
    ("path,label\n", "has no row"),
    ("path,label\ncat/0.png,cat\n", r"has 1 labels in column `label`"),
    ("path,label\ncat/0.png,cat\ndog/0.png,\n", "has no label in row 2"),
    ("path,label\n,cat\n,dog\n", r"has no path in row 1 \(and 1 more\)"),
    ("path,label\n/etc/passwd,cat\ndog/0.png,dog\n", r"out of the root: `/etc/passwd`"),
    ("path,label\n../x.png,cat\ndog/0.png,dog\n", r"out of the root: `\.\./x\.png`"),
    ("path,label\ncat/9.png,cat\ndog/0.png,dog\n", r"not below the root: `cat/9\.png`"),
    ('path,label\n"cat/0.png', "can not be read"),
    ("path,label\ncat/0.png,cat\ncat/0.png,dog\n", r"names files twice: `cat/0\.png`"),
])
def test_a_table_that_can_not_be_used_says_where(tmp_path: Path, text: str, told: str) -> None:
    root = write(tmp_path)
    (root / "labels.csv").write_text(text)
    with pytest.raises(SourceError, match=told):
        list(open_source(settings(root, "table")).images())


def test_odd_names_are_kept_and_shown(tmp_path: Path) -> None:
    write(tmp_path, {"cat/new\nline.png": b"1", "dog/a.png": b"2"})
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "dog") + b"/caf\xe9.png"))
    odd.write_bytes(b"3")
    assert read(settings(tmp_path)) == {
        "cat/new\nline.png": ("cat", b"1"), "dog/a.png": ("dog", b"2"),
        "dog/caf\\xe9.png": ("dog", b"3")}
    assert describe_source(settings(tmp_path))["files_sha256"]


def test_what_leads_out_of_the_root_is_refused_and_loops_end(tmp_path: Path) -> None:
    root = write(tmp_path / "photos")
    os.mkfifo(root / "cat" / ".pipe")
    (root / "cat" / "same.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "loop").symlink_to(root)
    assert read(settings(root)) == EXPECTED | {"cat/same.png": ("cat", FILES["dog/0.png"])}
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "cat" / "out.png").symlink_to(tmp_path / "secret")
    with pytest.raises(FolderError, match=r"`cat/out\.png` can not be read: is a link that leads"):
        read(settings(root))


@pytest.mark.parametrize("name", ["/etc/cat/a.png", "cat/../../a.png"])
def test_archives_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as writer:
        writer.writestr(name, b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    for suffix in ("zip", "tar"):
        with pytest.raises(FolderError, match="leads out of it"):
            open_source(settings(tmp_path / f"a.{suffix}"))


def test_archives_with_links_or_damage_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("cat/a.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(FolderError, match="is a link or a device"):
        open_source(settings(tmp_path / "a.tar"))
    (tmp_path / "b.zip").write_bytes(b"no archive")
    with pytest.raises(FolderError, match="is damaged"):
        open_source(settings(tmp_path / "b.zip"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as writer:
        for name, content in FILES.items():
            writer.writestr(name, content)
    raw = bytearray((tmp_path / "c.zip").read_bytes())
    raw[raw.index(FILES["cat/2.png"])] ^= 1
    (tmp_path / "c.zip").write_bytes(raw)
    with pytest.raises(FolderError, match=r"`cat/2\.png` can not be read"):
        read(settings(tmp_path / "c.zip"))


def test_a_root_one_level_off_is_told_by_its_many_classes(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"class-{number}").mkdir()
        (tmp_path / f"class-{number}" / "a.png").write_bytes(b"x")
    with pytest.raises(SourceError, match="has 30 class folders; is it one level off"):
        open_source(settings(tmp_path, max_classes=20))
    assert len(open_source(settings(tmp_path)).classes) == 30


@pytest.mark.parametrize("root", ["nowhere://bucket/x", "memory://none/there", "/none/there"])
def test_a_root_that_is_not_there_says_which_setting_names_it(root: str) -> None:
    with pytest.raises(PlatformError, match=r"`root` in configs/dataset\.yaml"):
        open_source(settings(root))


def test_refused_credentials_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class ExpiredToken(Exception):
        """As a cloud's client raises it."""

    ExpiredToken.__module__ = "botocore.exceptions"

    def refuse(*_: object, **__: object) -> bool:
        raise ExpiredToken("the security token has expired")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.isdir", refuse)
    with pytest.raises(FolderError, match=r"token has expired; see .* and the\s+credentials"):
        open_source(settings("memory://bucket"))


def test_images_are_read_ahead_in_order(tmp_path: Path) -> None:
    files = {f"{label}/{number:04d}.png": f"{label}{number}".encode()
             for label in ("a", "b") for number in range(600)}
    write(tmp_path, files)
    found = read(settings(tmp_path))
    assert list(found) == sorted(files)
    assert {name: content for name, (_, content) in found.items()} == files


def test_a_link_to_a_pipe_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    root = write(tmp_path)
    os.mkfifo(root / "dog" / ".pipe")
    (root / "cat" / "9.png").symlink_to(root / "dog" / ".pipe")
    with pytest.raises(FolderError, match=r"`cat/9\.png` can not be read: is no plain file"):
        read(settings(root))


def test_a_file_that_is_no_photograph_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path)
    with (root / "cat" / "9.png").open("wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(FolderError, match=r"`cat/9\.png` can not be read: has 214748364800 bytes"):
        read(settings(root))


def test_what_is_read_ahead_is_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.read_ahead.KEPT_BYTES", 1000)
    root = write(tmp_path, {f"a/{number}.png": bytes(400) for number in range(100)})
    most, open_now = [0], [0]

    class Counting(LocalFolder):
        def read(self, path: str) -> bytes:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
            return super().read(path)

    for content in read_files(Counting(root), LocalFolder(root).paths(), threads=2):
        assert len(content) == 400
        open_now[0] -= 1
    assert most[0] <= 8
