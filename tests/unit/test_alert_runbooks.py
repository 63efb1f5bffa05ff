"""Runbooks: a page for every alert, no page without one, and commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from deploy.monitoring.alerts import RUNBOOKS, make_alerts
from deploy.monitoring.clock import Clock
from mlops_assets.cli import main
from mlops_assets.config import PROJECT_ROOT, Settings

FOLDER = PROJECT_ROOT / RUNBOOKS
OPERATIONS = {"README", "upgrade", "backup", "restore", "key-rotation", "rollback"}
PAGES = sorted(FOLDER.glob("*.md"))
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"[A-Z_]+=\S*")
HEADINGS = ("**Means.**", "**How bad.**", "## Look", "## Mend", "## Over when")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
PROGRAMS = {
    "mlops", "make", "dg", "git", "curl", "df", "du", "ls", "tail", "dmesg", "nvidia-smi", "rm",
    "uptime", "pg_dump", "pg_restore",
}
ALERTS = {each.name: each for group in make_alerts(Settings(), Clock()).values() for each in group}


def commands() -> list[tuple[str, list[str]]]:
    """Page and words of each command line, without variables and what it is piped into."""
    found = []
    for page in PAGES:
        for line in "\n".join(BLOCK.findall(page.read_text())).splitlines():
            words = shlex.split(line.partition(" | ")[0])
            while words and VARIABLE.fullmatch(words[0]):
                words = words[1:]
            if words:
                found.append((page.stem, words))
    return found


def parse(words: list[str]) -> None:
    """Take a command line as `mlops` does, without doing it.

    Raises:
        click.UsageError: there is no such command or option, or something is missing.
    """
    command: click.Command = main
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"there is no {name}")
        command = found
    command.make_context(name, words)


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert {Path(each.runbook).stem for each in ALERTS.values()} == (
        {page.stem for page in PAGES} - OPERATIONS)
    assert {page.stem for page in PAGES} >= OPERATIONS


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_page_of_an_alert_has_its_parts_in_order(name: str) -> None:
    text = (PROJECT_ROOT / ALERTS[name].runbook).read_text()
    assert text.startswith(f"# {name}\n")
    places = [text.index(heading) for heading in HEADINGS]
    assert places == sorted(places)
    assert BLOCK.search(text)


def test_index_lists_every_page_with_its_severities() -> None:
    index = (FOLDER / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[(\w+)\]\([\w-]+\.md\) \| ([\w, ]+) \|", index, re.MULTILINE))
    groups = make_alerts(Settings(), Clock()).values()
    told = {name: ", ".join(each.severity for group in groups for each in group
                            if each.name == name) for name in ALERTS}
    assert rows == told
    for page in PAGES:
        assert page.stem == "README" or f"({page.name})" in index


@pytest.mark.parametrize(("page", "words"), [each for each in commands() if each[1][0] == "mlops"],
                         ids=lambda each: each if isinstance(each, str) else " ".join(each))
def test_command_of_a_page_exists(
    page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.png").touch()
    monkeypatch.chdir(tmp_path)
    parse(words[1:])


def test_commands_are_known_programs_and_targets() -> None:
    targets = set(TARGET.findall((PROJECT_ROOT / "Makefile").read_text()))
    for page, words in commands():
        assert words[0] in PROGRAMS, f"{page}: {words}"
        if words[0] == "make":
            assert set(words[1:]) <= targets, page


@pytest.mark.parametrize("line", [
    "nothing", "rollout rollback", "rollout rollback --why x", "keys revoke", "snapshot restore a",
])
def test_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())
