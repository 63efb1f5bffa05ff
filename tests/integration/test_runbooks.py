"""Every command of every runbook is run, in the order of its page, on a platform that runs.

Names that a person would put in are put in: ids, ports, folders. A command that another page has
already shown to work is not run again. What needs a server of its own is run beside one
(``test_data_services.py``), and `make up`, which installs, only says here what it would do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.layout import Layout
from deploy.ports import Ports, recorded_ports
from deploy.supervisor import Supervisor
from mlops_assets.cli.bad_bento import release_wrong_bento
from mlops_assets.config import PROJECT_ROOT, load_settings
from mlops_assets.serving.effect import change
from mlops_assets.serving.states import arrive
from resources.mlflow import Tracking
from tests.commands import run_mlops
from tests.digits import write_digits
from tests.graph import set_digits
from tests.unit.test_alert_runbooks import BLOCK, PAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PROGRAMS = ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER")
# Run where there is a database server.
ELSEWHERE = ("pg_dump", "pg_restore", "mlops store")


@dataclass
class Drill:
    """A running platform, and what was run on it."""

    home: Path
    folder: Path
    answer: str
    wrong: tuple[str, str] = ("", "")
    key: str = ""
    done: set[str] = field(default_factory=set)

    @property
    def ports(self) -> Ports:
        ports = recorded_ports(Layout(self.home).ports)
        assert ports is not None
        return ports

    def put_in(self, line: str) -> str:
        """A line with the names of this platform."""
        ports = self.ports
        now = datetime.now(UTC)
        for old, new in {
            "classifier/2": "classifier/1", "3c24b6a55c8d": self.answer, "3f0c9a6b12de": self.key,
            "photo.png": str(self.folder / "digits" / "digit-0" / "0000.png"),
            "2026-11-23T10:00Z": now.strftime("%Y-%m-%dT%H:%MZ"),
            "2026-11-23-10:00": self.hour, "/backups": str(self.folder / "backups"),
            "/srv": str(self.folder / "srv"), "/tmp/drill": str(self.folder / "drill"),
            ":8000/": f":{ports.service}/", ":8080/": f":{ports.console}/",
        }.items():
            line = line.replace(old, new)
        line = re.sub(r"(?<![\w/])\.platform", str(self.home), line)
        return re.sub(r"\bmake up\b", "make --dry-run up", line)

    @property
    def hour(self) -> str:
        newest = max(path.name for path in (self.home / "journal").iterdir())
        return datetime.strptime(newest, "%Y-%m-%dT%H").strftime("%Y-%m-%d-%H:00")

    def prepare(self, line: str) -> None:
        """Bring about the trouble that a command is for."""
        settings = load_settings("demo")
        if re.search(r"rollout (rollback|hold)", line):
            tag, version = self.wrong
            change(self.home, Tracking(self.home, settings.release.experiment),
                   settings.release.model_name,
                   lambda state, now: arrive(state, tag, version, now=now, automatic=False),
                   actor="drill", action="release", details={})
        if "keys revoke" in line:
            made = run_mlops("keys", "create", "--name", f"drill-{len(self.done)}", "--scope",
                             "predict", "--reason", "drill", "--json")
            self.key = json.loads(made.stdout)["id"]
        if "quarantine release" in line:
            told = json.loads(run_mlops("quarantine", "list", "--json").stdout)
            self.blank = next(each["image_id"] for each in told if each["reason"] == "blank")

    blank: str = ""

    def run(self, page: str, line: str) -> None:
        """One line, as in a shell."""
        if line in self.done or line.startswith(ELSEWHERE) or "store pull" in line:
            return
        self.prepare(line)
        command = self.put_in(line).replace("9f86d081884c", self.blank[:12])
        where = self.folder / "checkout" if line.startswith("git ") else PROJECT_ROOT
        shell = subprocess.run(
            ["bash", "-uc", command], cwd=where, capture_output=True, text=True, check=False,
            timeout=600, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:"
                              f"{os.environ['PATH']}"})
        allowed = {0}
        # Nothing of the kind in the kernel's log, or no log to read, is good news.
        if line.startswith(("dmesg", "nvidia-smi")):
            allowed = {0, 1} if shutil.which(line.split(maxsplit=1)[0]) else {0, 1, 127}
        if line == "dg launch --assets '*'" and "model_evaluation: gate" in shell.stderr:
            # The new model is no better: the page says so, and the old one stays.
            allowed = {1}
        assert shell.returncode in allowed, f"{page}: {command}\n{shell.stdout}\n{shell.stderr}"
        if line.endswith(("mlops up", "mlops down")):
            return
        self.done.add(line)


def _checkout(folder: Path) -> None:
    """A repository with the two releases that the page on upgrades names."""
    for words in (["init", "-q", "origin"], ["-C", "origin", "commit", "-q", "--allow-empty",
                                              "-m", "first"],
                  ["-C", "origin", "tag", "v1.2.2"], ["clone", "-q", "origin", "checkout"],
                  ["-C", "origin", "commit", "-q", "--allow-empty", "-m", "second"],
                  ["-C", "origin", "tag", "v1.2.3"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
                       cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("runbooks")
    write_digits(folder / "digits")
    cv2.imwrite(str(folder / "digits" / "digit-0" / "blank.png"), np.zeros((16, 16), np.uint8))
    _checkout(folder)
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        set_digits(patch, folder / "digits")
        for name in PROGRAMS:
            patch.setenv(f"MLOPS__PLATFORM__{name}_PORT", "0")
        for name, value in {
            "PLATFORM_HOME": str(home), "MLOPS_PROFILE": "demo",
            "MLOPS__PLATFORM__START_SECONDS": "300", "MLOPS__ROLLOUT__AUTOMATIC": "false",
        }.items():
            patch.setenv(name, value)
        try:
            done = run_mlops("demo", "--json", seconds=900)
            assert done.returncode == 0, done.stderr[-5000:]
            made = Drill(home, folder, json.loads(done.stdout)["answer"]["prediction_id"])
            tag = release_wrong_bento(load_settings("demo"), actor="drill")
            state = json.loads((home / "serving" / "state.json").read_bytes())
            version = next(each["model_version"] for each in state["slots"].values()
                           if each["bento_tag"] == tag)
            made.wrong = (tag, version)
            yield made
        finally:
            for place in (home, folder / "srv" / "larger" / "platform",
                          folder / "srv" / "platform-restored"):
                Supervisor(Layout(place)).stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page(
    drill: Drill, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(drill.home))
    monkeypatch.setenv("MLOPS_PROFILE", "demo")
    lines = [line for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    for line in lines:
        drill.run(page.stem, line)
    if any(line.endswith("mlops down") for line in lines):
        monkeypatch.setenv("PLATFORM_HOME", str(drill.home))
        drill.run(page.stem, "mlops up")
