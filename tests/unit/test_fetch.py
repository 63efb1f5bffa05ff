"""Fetching a dataset: order of the sources, hashes, and what is left when none works."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.raw import download, fetch
from mlops_assets.raw.fetch import Dataset, FetchError, fetch_dataset

CONTENT = {
    "train-images-idx3-ubyte": b"train images",
    "train-labels-idx1-ubyte": b"train labels",
    "t10k-images-idx3-ubyte": b"test images",
    "t10k-labels-idx1-ubyte": b"test labels",
}


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def tiny_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {
        name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in CONTENT.items()
    }
    for name in ("FashionMNIST", "MNIST"):
        monkeypatch.setitem(fetch.DATASETS, name, Dataset(f"{name}/raw", hashes))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No mirror and no apt: the download process fails at once, and PATH holds nothing."""
    monkeypatch.setattr(download, "_DOWNLOAD", "raise SystemExit('no route to the mirror')")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def fill(folder: Path, **changed: bytes) -> Path:
    folder.mkdir(parents=True)
    for name, content in (CONTENT | changed).items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_debian_folder_is_unpacked_as_torchvision_expects(tmp_path: Path, log: list[str]) -> None:
    debian = fill(tmp_path / "debian")
    folder = fetch_dataset("FashionMNIST", tmp_path / "data", log=log.append, debian_dir=debian)
    assert folder == tmp_path / "data" / "FashionMNIST" / "raw"
    assert contents(folder) == CONTENT
    assert f"took it from {debian}" in log[-1]


def test_second_fetch_only_checks(tmp_path: Path, log: list[str]) -> None:
    debian = fill(tmp_path / "debian")
    for _ in range(2):
        folder = fetch_dataset("FashionMNIST", tmp_path, log=log.append, debian_dir=debian)
    assert log[-1] == f"FashionMNIST: already in {folder}"


def test_damaged_file_is_replaced(tmp_path: Path, log: list[str]) -> None:
    debian = fill(tmp_path / "debian")
    folder = fetch_dataset("FashionMNIST", tmp_path, log=log.append, debian_dir=debian)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"bit rot")
    log.clear()
    fetch_dataset("FashionMNIST", tmp_path, log=log.append, debian_dir=debian)
    assert "t10k-labels-idx1-ubyte does not match its sha256" in log[0]
    assert contents(folder) == CONTENT


def test_packed_files_put_in_the_root_are_used(
    tmp_path: Path, log: list[str], offline: None
) -> None:
    folder = fill(tmp_path / "MNIST" / "raw")
    assert fetch_dataset("MNIST", tmp_path, log=log.append) == folder
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT


def test_sources_are_tried_in_order_and_each_failure_is_said(
    tmp_path: Path, log: list[str], offline: None
) -> None:
    debian = tmp_path / "debian"
    with pytest.raises(FetchError) as caught:
        fetch_dataset("FashionMNIST", tmp_path / "data", log=log.append, debian_dir=debian)
    tried = [line.rpartition("; trying ")[2] for line in log]
    assert tried == [
        f"files in {tmp_path}/data/FashionMNIST/raw", str(debian), "torchvision's mirrors",
        "Debian package dataset-fashion-mnist",
    ]
    assert f"{debian}/train-images-idx3-ubyte.gz is not there" in log[2]
    assert "no route to the mirror" in log[3]
    message = str(caught.value)
    assert "\n" not in message
    assert "this machine has no `apt-get`" in message
    assert "apt-get install dataset-fashion-mnist" in message
    assert f"put its files in {tmp_path}/data/FashionMNIST/raw" in message


def test_wrong_content_is_never_adopted(tmp_path: Path, log: list[str], offline: None) -> None:
    debian = fill(tmp_path / "debian", **{"train-images-idx3-ubyte": b"poisoned"})
    with pytest.raises(FetchError):
        fetch_dataset("FashionMNIST", tmp_path, log=log.append, debian_dir=debian)
    assert any("does not have the published content" in line for line in log)
    assert not list((tmp_path / "FashionMNIST" / "raw").iterdir())


def test_truncated_archive_is_one_clear_reason(
    tmp_path: Path, log: list[str], offline: None
) -> None:
    debian = fill(tmp_path / "debian")
    archive = debian / "train-images-idx3-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:-6])
    with pytest.raises(FetchError):
        fetch_dataset("FashionMNIST", tmp_path, log=log.append, debian_dir=debian)
    assert any(f"{archive} is damaged" in line for line in log)


def test_other_datasets_come_from_torchvision_only(
    tmp_path: Path, log: list[str], offline: None
) -> None:
    with pytest.raises(FetchError, match="check the network") as caught:
        fetch_dataset("MNIST", tmp_path, log=log.append)
    assert "Debian" not in " ".join(log)
    assert "apt-get" not in str(caught.value)


def test_silent_mirror_is_given_up(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = "print('ready', flush=True); import time; time.sleep(60)"
    monkeypatch.setattr(download, "_DOWNLOAD", silent)
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    with pytest.raises(FetchError, match="no byte arrived"):
        fetch_dataset("MNIST", tmp_path, log=log.append)


def test_unknown_dataset_names_the_known_ones(tmp_path: Path, log: list[str]) -> None:
    with pytest.raises(FetchError, match="known: FashionMNIST, MNIST, CIFAR10"):
        fetch_dataset("ImageNet", tmp_path, log=log.append)


def test_unwritable_root_is_one_clear_line(
    tmp_path: Path, log: list[str], offline: None
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FetchError, match="Not a directory"):
        fetch_dataset("FashionMNIST", tmp_path / "file", log=log.append)


def test_importing_fetch_needs_neither_torch_nor_dagster() -> None:
    code = "import sys, mlops_assets.raw.fetch; print({'torch', 'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
