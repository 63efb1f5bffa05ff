"""What a record says of the code: from git, or stated where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.images import find_revision
from mlops_assets.provenance.environment import CodeState, UnknownProvenance, read_code_state
from mlops_assets.provenance.hashing import sha256_file

COMMIT = "c" * 40


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLOPS_CODE_COMMIT", raising=False)
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    for words in (("init", "--quiet"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b",
                  "commit", "--quiet", "--message", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_revision_of_images_is_the_commit_and_whether_the_tree_differs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = find_revision(checkout)
    assert clean == read_code_state(checkout).commit
    (checkout / "requirements.lock").write_text("numpy==3\n")
    assert find_revision(checkout) == f"{clean}-dirty"
    # What the images state is no word on the tree that they are built of.
    monkeypatch.setenv("MLOPS_CODE_COMMIT", COMMIT)
    assert find_revision(checkout) == f"{clean}-dirty"


def test_images_need_a_commit(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    with pytest.raises(UnknownProvenance, match="commit"):
        find_revision(tmp_path)


@pytest.mark.parametrize(("stated", "dirty"), [(COMMIT, False), (f"{COMMIT}-dirty", True)])
def test_stated_commit_says_whether_it_is_whole(
    stated: str, dirty: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==2\n")
    monkeypatch.setenv("MLOPS_CODE_COMMIT", stated)
    assert read_code_state(tmp_path) == CodeState(COMMIT, dirty, sha256_file(lock))
