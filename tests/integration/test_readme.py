"""The README's blocks run as they stand there, and its tables name commands that exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlops_assets.config import CONFIG_VARIABLE, PROJECT_ROOT, load_settings
from resources.store import ArtifactStore

README = (PROJECT_ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MLOPS_ROW = re.compile(r"^\| `(mlops [^`]+)` \| (.+) \|$", re.MULTILINE)
MAKE_TARGET = re.compile(r"`make ([a-z-]+)`")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
# What a test of the README can not do again: it trains, retrains, or runs the tests.
LONG = ("make demo", "make story", "make test")


def blocks(language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(README) if name == language]


def run(*command: str, cwd: Path = PROJECT_ROOT) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(list(command), cwd=cwd, env=environment, capture_output=True, text=True,
                          check=False, timeout=300)


def test_every_code_block_is_known() -> None:
    assert {name for name, _ in BLOCK.findall(README)} == {"bash", "yaml"}
    commands = [body.strip() for body in blocks("bash")]
    assert [each for each in commands if each.startswith("make")] == list(LONG)


def test_make_targets_exist() -> None:
    targets = {*MAKE_TARGET.findall(README), *(each.removeprefix("make ") for each in LONG)}
    assert {"demo", "test", "up", "down"} <= targets
    done = run("make", "-n", *sorted(targets))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "line"), MLOPS_ROW.findall(README))
def test_command_exists_and_does_what_its_row_says(command: str, line: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0, done.stderr
    group = run(*command.split()[:-1], "--help")
    said = " ".join((done.stdout + group.stdout).split())
    assert line in said


def test_table_lists_every_command() -> None:
    listed = {command.split()[1] for command, _ in MLOPS_ROW.findall(README)}
    said = run("mlops", "--help").stdout.partition("Commands:")[2]
    assert listed == set(re.findall(r"^  ([\w-]+)  ", said, re.MULTILINE))


def test_yaml_block_is_a_dataset_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = blocks("yaml")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "default.yaml").write_text("")
    (tmp_path / "dataset.yaml").write_text(block)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    dataset = load_settings().dataset
    assert dataset.source == "image_folder"
    assert dataset.path == PROJECT_ROOT / "photos"
    assert dataset.pixels.shape == (64, 64, 3)
    assert set(yaml.safe_load(block)) == {"source", "root", "pixels"}


def test_links_lead_somewhere() -> None:
    for page in [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").rglob("*.md"),
                 PROJECT_ROOT / "benchmarks" / "README.md"]:
        for target in LINK.findall(page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
def test_own_images_block_makes_a_dataset(
    digits: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [body for body in blocks("bash") if body.strip() not in LONG]
    assert "MLOPS__DATASET__ROOT" in own[0]
    assert own[1].startswith("dg launch")
    (tmp_path / "photos").symlink_to(digits)
    # The digits hold equal images, which the inspection leaves out.
    monkeypatch.setenv("MLOPS__VALIDATION__MAX_QUARANTINED_SHARE", "0.2")
    done = run("bash", "-euo", "pipefail", "-c", "\n".join(own), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    store = ArtifactStore(home / "store")
    summary = store.summary(store.pin("dataset"))
    assert summary.values["classes"] == 10
    assert int(str(summary.values["rows"])) > 1000
