"""Planted faults end in quarantine, each with the right reason, and the run goes on."""

from __future__ import annotations

import io
import json
import struct
import zlib
from contextlib import closing
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.manifest import (
    ISSUES_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    ROWS_FILE,
)
from mlops_assets.raw.snapshot import write_snapshot
from mlops_assets.raw.sources import RawImage
from resources.platform_db import PlatformDatabase
from resources.steps import Step, Workspace, run_step
from tests.digits import write_digits
from tests.graph import Graph, explain, set_digits
from tests.small_platform import mlops

SELECTION = dg.AssetSelection.assets(
    "raw_images", "validated_images", "quarantined_images", "dataset", "training_shards"
)


def _noise(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def _encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _claims_to_be_huge(side: int) -> bytes:
    """A PNG of few bytes whose header promises ``side`` x ``side`` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def plant(root: Path) -> dict[str, str]:
    """Write one file for each fault; relative path to the reason that must be found."""
    good = (root / "digit-0" / "0000.png").read_bytes()
    grey, colour = _noise((20, 20)), _noise((20, 20, 3))
    frames = [Image.fromarray(_noise((20, 20), seed=index)) for index in range(3)]
    photo = _encode(Image.fromarray(_noise((64, 64, 3))), "JPEG")
    wide = Image.fromarray(_noise((20, 20), np.uint16))
    planted: dict[str, tuple[bytes, str]] = {
        "digit-0/zero.png": (b"", "zero-bytes"),
        "digit-0/text.png": (b"these are words, not pixels", "not-an-image"),
        "digit-1/cut.png": (good[: len(good) * 2 // 3], "truncated"),
        "digit-1/cut.jpg": (photo[: len(photo) // 2], "truncated"),
        "digit-2/really-png.jpg": (_encode(Image.fromarray(grey), "PNG"), "wrong-extension"),
        "digit-2/one-pixel.png": (_encode(Image.fromarray(grey[:1, :1]), "PNG"), "too-small"),
        "digit-3/bomb.png": (_claims_to_be_huge(60_000), "too-large"),
        "digit-3/print.jpg": (_encode(Image.fromarray(colour).convert("CMYK"), "JPEG"),
                              "unsupported-mode"),
        "digit-4/deep.png": (_encode(wide, "PNG"), "unsupported-mode"),
        "digit-4/moves.gif": (_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
                              "animated"),
        "digit-5/blank.png": (_encode(Image.fromarray(np.full((20, 20), 90, np.uint8)), "PNG"),
                              "blank"),
        "unheard-of/image.png": (_encode(Image.fromarray(grey), "PNG"), "unknown-class"),
        "digit-6/again.png": (b"", "duplicate"),
        "digit-7/eight.png": (b"", "conflicting-labels"),
    }
    first_six = sorted((root / "digit-6").iterdir())[0]
    first_eight = sorted((root / "digit-8").iterdir())[0]
    planted["digit-6/again.png"] = (first_six.read_bytes(), "duplicate")
    planted["digit-7/eight.png"] = (first_eight.read_bytes(), "conflicting-labels")
    for name, (content, _) in planted.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return {name: reason for name, (_, reason) in planted.items()}


@pytest.mark.slow
def test_planted_faults_end_in_quarantine(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_digits(tmp_path / "images", per_class=40)
    expected = plant(root)
    classes = ",".join(f'"digit-{index}"' for index in range(10))
    set_digits(monkeypatch, root, DATASET__CLASSES=f"[{classes}]")
    graph = Graph(home)
    result = graph.run(SELECTION)
    assert result.success, explain(result)
    (quarantined,) = graph.store.pin_all("quarantined_images")
    frame = pl.read_parquet(graph.store.path(quarantined) / QUARANTINE_FILE)
    found = dict(frame.select("source", "reason").iter_rows())
    assert {name: found.get(name) for name in expected} == expected
    # Equal bytes with two labels: the other copy is no more trusted than the planted one.
    others = set(found) - set(expected)
    assert {found[name] for name in others} <= {"conflicting-labels"}
    kept = {row["source"]: row["content"] for row in frame.to_dicts()}
    assert all(kept[name] == (root / name).read_bytes() for name in expected)
    (valid,) = graph.store.pin_all("validated_images")
    manifest = pl.read_parquet(graph.store.path(valid) / MANIFEST_FILE)
    assert not set(manifest["source"]) & set(expected)
    assert manifest.height == 400 - len(others)


@pytest.mark.slow
def test_duplicates_across_splits_are_quarantined_and_never_straddle(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_digits(tmp_path / "images", per_class=30)
    files = sorted(root.glob("*/*.png"))
    images = [RawImage(f"train/{path.name}", path.parent.name, "train", path.read_bytes())
              for path in files]
    images += [RawImage(f"test/{path.name}", path.parent.name, "test", path.read_bytes())
               for path in files[::10]]
    classes = tuple(sorted(folder.name for folder in root.iterdir()))
    set_digits(monkeypatch, root)
    graph = Graph(home)

    def build(work: Workspace) -> None:
        write_snapshot(work.out("raw_images"), images, classes)

    run_step(graph.store, Step("raw", ("raw_images",)), build, project_root=PROJECT_ROOT,
             run_id="test", partition="initial")
    result = graph.run(dg.AssetSelection.assets("validated_images", "quarantined_images",
                                                "dataset"))
    assert result.success, explain(result)
    (quarantined,) = graph.store.pin_all("quarantined_images")
    frame = pl.read_parquet(graph.store.path(quarantined) / QUARANTINE_FILE)
    assert set(frame["reason"]) == {"duplicate-across-splits"}
    assert frame.height == len(files[::10])
    assert all(source.startswith("train/") for source in frame["source"])
    rows = pl.read_parquet(graph.store.path(graph.store.pin("dataset")) / ROWS_FILE)
    assert rows["image_id"].is_unique().all()
    test_rows = rows.filter(pl.col("source").str.starts_with("test/"))
    assert set(test_rows["split"]) == {"test"}
    assert test_rows.height == len(files[::10])


@pytest.mark.slow
def test_odd_images_stay_and_are_listed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_digits(tmp_path / "images", per_class=30)
    first = np.asarray(Image.open(min((root / "digit-1").iterdir())))
    planted = {
        "digit-0/dark.png": Image.fromarray((first * 0.25).astype(np.uint8)),
        "digit-0/long.png": Image.fromarray(_noise((9, 60))),
        "digit-2/twin.png": Image.fromarray(np.maximum(first, 2)),
    }
    for name, image in planted.items():
        image.save(root / name)
    set_digits(monkeypatch, root)
    graph = Graph(home)
    result = graph.run(dg.AssetSelection.assets(
        "raw_images", "validated_images", "quarantined_images"))
    assert result.success, explain(result)
    (valid,) = graph.store.pin_all("validated_images")
    assert set(planted) <= set(pl.read_parquet(graph.store.path(valid) / MANIFEST_FILE)["source"])
    found = pl.read_parquet(graph.store.path(valid) / ISSUES_FILE)
    kinds = {(row["source"], row["kind"]) for row in found.to_dicts()}
    assert kinds >= {("digit-0/dark.png", "dark"), ("digit-0/long.png", "odd-aspect"),
                     ("digit-2/twin.png", "near-duplicate-other-label")}
    shown = graph.latest("validated_images").metadata
    assert "odd_images" in shown


@pytest.mark.slow
def test_a_person_lets_in_what_is_only_unusual(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_digits(tmp_path / "images", per_class=30)
    white = _encode(Image.fromarray(np.full((20, 20), 250, np.uint8)), "PNG")
    (root / "digit-0" / "white.png").write_bytes(white)
    (root / "digit-0" / "cut.png").write_bytes(white[: len(white) // 2])
    set_digits(monkeypatch, root)
    monkeypatch.setenv("PLATFORM_HOME", str(home))
    graph = Graph(home)
    assert graph.run(SELECTION).success
    before = graph.store.pin("dataset")
    listed = json.loads(mlops("quarantine", "list", "--json").stdout)
    ids = {row["source"]: row["image_id"] for row in listed}
    assert {row["source"]: row["reason"] for row in listed} == {
        "digit-0/white.png": "blank", "digit-0/cut.png": "truncated"}
    assert "digit-0/white.png" in mlops("quarantine", "list", "--reason", "blank").stdout
    assert "no image is in quarantine" in mlops("quarantine", "list", "--batch", "other").stdout
    for name, told in ((ids["digit-0/cut.png"], "which no release mends"),
                       ("", "2 images in quarantine begin with"), ("0" * 64, "0 images")):
        refused = mlops("quarantine", "release", name, "--reason", "x")
        assert refused.exit_code == 1
        assert told in refused.stderr
    wanted = ids["digit-0/white.png"]
    done = mlops("quarantine", "release", wanted[:12], "--reason", "a white wall")
    assert f"{wanted} is let in" in done.stdout
    result = graph.run(dg.AssetSelection.assets(
        "validated_images", "quarantined_images", "dataset"))
    assert result.success, explain(result)
    assert graph.latest("validated_images").metadata["released"].value == 1
    rows = pl.read_parquet(graph.store.path(graph.store.pin("dataset")) / ROWS_FILE)
    assert wanted in set(rows["image_id"])
    assert rows.height == pl.read_parquet(graph.store.path(before) / ROWS_FILE).height + 1
    with closing(PlatformDatabase(home)) as database:
        (entry,) = database.read_audit()
    assert (entry.action, entry.reason, entry.details["image_sha256"]) == (
        "release_image", "a white wall", wanted)
