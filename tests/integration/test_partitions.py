"""Batches side by side: processes that share a home give what one after another gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import PROJECT_ROOT
from resources.dvc import DvcRepository
from resources.store import ArtifactStore
from tests.digits import write_digits
from tests.graph import set_digits
from tests.integration.partition_run import materialize

pytestmark = pytest.mark.slow
BATCHES = ("first", "second", "third")
ASSETS = ("raw_images", "validated_images", "quarantined_images", "embeddings")


def versions(home: Path) -> dict[tuple[str, str], str]:
    store = ArtifactStore(home / "store")
    return {(asset, batch): store.pin(asset, batch).version
            for asset in ASSETS for batch in BATCHES}


def test_batches_side_by_side_are_as_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, batch in enumerate(BATCHES):
        write_digits(tmp_path / "zone" / batch, per_class=20, skip=20 * number)
        (tmp_path / "zone" / batch / "_SUCCESS").touch()
    set_digits(monkeypatch, tmp_path / "none", LANDING__ROOT=str(tmp_path / "zone"))
    one, several = tmp_path / "one", tmp_path / "several"
    with dg.DagsterInstance.ephemeral() as instance:
        for batch in BATCHES:
            materialize(one, batch, instance)
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integration.partition_run", str(several), batch],
            cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for batch in BATCHES]
    for child in children:
        said, _ = child.communicate(timeout=240)
        assert child.returncode == 0, said.decode()[-2000:]
    assert versions(several) == versions(one)
    store = ArtifactStore(several / "store")
    for batch in BATCHES:
        folder = store.path(store.pin("raw_images", batch))
        assert DvcRepository(store.root).hash_of(folder)


def test_a_new_batch_rewrites_no_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_digits(tmp_path / "zone" / "many", skip=2)
    write_digits(tmp_path / "zone" / "few", per_class=2)
    for batch in ("many", "few"):
        (tmp_path / "zone" / batch / "_SUCCESS").touch()
    set_digits(monkeypatch, tmp_path / "none", LANDING__ROOT=str(tmp_path / "zone"))
    home = tmp_path / "home"

    def files() -> dict[Path, tuple[int, int, int]]:
        found = {path: path.stat() for asset in (*ASSETS, ".dvc")
                 for path in (home / "store" / asset).rglob("*")
                 if path.is_file()
                 and not {"refs", "records", "tmp"} & set(path.relative_to(home).parts)}
        return {path: (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                for path, facts in found.items()}

    with dg.DagsterInstance.ephemeral() as instance:
        materialize(home, "many", instance)
        before = files()
        materialize(home, "few", instance)
        after = files()
    assert before.items() <= after.items()
    old, new = (sum(size for _, _, size in each.values())
                for each in (before, {path: after[path] for path in after.keys() - before}))
    # 20 images beside 1,777; a file's own head and tail weigh more where it is small.
    assert new < 0.04 * old
