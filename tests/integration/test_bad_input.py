"""What goes wrong by a person's hand is said in one line, with the fix; nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resources.store import ArtifactStore
from tests.digits import write_digits
from tests.graph import set_digits

pytestmark = pytest.mark.slow
DG = [sys.executable, "-c", "from mlops_assets.cli.dg import main; main()"]
DATA = "raw_images,validated_images,quarantined_images,dataset"


def launch(assets: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DG, "launch", "--assets", assets], capture_output=True, text=True, check=False,
        env={**os.environ, "MLOPS_PROFILE": "demo", **variables}, timeout=300,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MLOPS__TRAINING__EPOCS": "3"}, ["training.epocs", "unknown key"]),
        ({"MLOPS__TRAINING__EPOCHS": "many"}, ["training.epochs", "integer", "many"]),
        ({"MLOPS__DATASET__SOURCE": "floppy"}, ["dataset.source", "floppy"]),
        ({"MLOPS_PROFILE": "prod"}, ["profile", "prod", "production"]),
    ],
)
def test_wrong_settings_are_one_line(variables: dict[str, str], words: list[str]) -> None:
    line = last_line(launch("raw_images", **variables))
    assert line.startswith("dg launch: ")
    assert all(word in line for word in words), line


def test_missing_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_digits(monkeypatch, tmp_path / "nowhere")
    line = last_line(launch("raw_images"))
    assert "there is no folder" in line
    assert "configs/dataset.yaml" in line


def test_empty_class_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_digits(tmp_path / "images", per_class=10)
    (root / "digit-x").mkdir()
    set_digits(monkeypatch, root)
    line = last_line(launch("raw_images"))
    assert "digit-x has no file; fill it or remove it" in line


def test_corrupt_store_is_one_line_and_loses_nothing(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_digits(monkeypatch, write_digits(tmp_path / "images", per_class=30))
    good = launch(DATA)
    assert good.returncode == 0, good.stderr
    store = ArtifactStore(home / "store")
    dataset = store.pin("dataset")
    (valid,) = store.pin_all("validated_images")
    path = store.path(valid) / "manifest.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    line = last_line(launch("dataset"))
    assert "manifest.parquet does not match its hash" in line
    assert "materialize `validated_images` again" in line
    assert store.pin("dataset") == dataset
    store.verify(dataset)
    assert launch("validated_images,quarantined_images").returncode == 0
    store.verify(store.pin_all("validated_images")[0])
