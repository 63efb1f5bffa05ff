"""The workflows of continuous integration: valid, with least rights, and of tasks that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.tools import tool_folder
from mlops_assets.config import PROJECT_ROOT

GITHUB = PROJECT_ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
WRITES = {
    ("release.yml", "package"): {"id-token", "attestations"},
    ("release.yml", "images"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"contents"},
}


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path.name, name, job)
            for path in WORKFLOWS for name, job in read(path)["jobs"].items()]


def steps() -> list[dict[str, Any]]:
    return [step for _, _, job in jobs() for step in job.get("steps", ())]


def commands() -> list[str]:
    return [step["run"] for step in steps() if "run" in step]


def tasks_of(lines: list[str]) -> set[str]:
    return {task for each in lines for task in re.findall(r"\bmake ([a-z-]+)", each)}


def check(*command: str | Path) -> None:
    done = subprocess.run([tool_folder("workflows") / command[0], *command[1:]],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["checks.yml", "release.yml"]


def test_workflows_fit_their_schema() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    check("check-jsonschema", "--builtin-schema", "vendor.renovate", GITHUB / "renovate.json")


def test_zizmor_finds_no_weakness() -> None:
    check("zizmor", "--offline", "--no-progress", "--config", GITHUB / "zizmor.yml",
          GITHUB / "workflows")


def test_tools_find_what_is_wrong(tmp_path: Path) -> None:
    open_to_all, misspelt = tmp_path / "open.yml", tmp_path / "misspelt.yml"
    job = "jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo ${{ github.head_ref }}\n"
    open_to_all.write_text(f"on: pull_request_target\n{job}")
    misspelt.write_text(f"on: push\n{job.replace('runs-on', 'run-on')}")
    with pytest.raises(AssertionError, match="template-injection"):
        check("zizmor", "--offline", "--no-progress", open_to_all)
    with pytest.raises(AssertionError, match="run-on"):
        check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", misspelt)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_has_no_rights_and_ends_what_is_outdated(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert "${{ github.ref }}" in workflow["concurrency"]["group"]


def test_every_job_has_least_rights_and_an_end() -> None:
    for file, name, job in jobs():
        written = {right for right, level in job.get("permissions", {}).items() if level == "write"}
        assert written == WRITES.get((file, name), set()), f"{file}: {name}"
        # The jobs of a called workflow have theirs.
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120, f"{file}: {name}"


def test_every_action_is_pinned_by_digest_and_leaves_no_credentials() -> None:
    using = [step for step in steps() if "uses" in step]
    assert using
    for step in using:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_one_version_of_an_action() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert len(used) == len({each.partition("@")[0] for each in used})


def test_a_release_waits_for_the_checks_and_its_page_for_the_images() -> None:
    called, release = (read(path) for path in WORKFLOWS)
    # YAML takes the key `on` for true.
    assert "workflow_call" in next(value for key, value in called.items() if key is True)
    assert release["jobs"]["checks"]["uses"] == "./.github/workflows/checks.yml"

    def before(name: str) -> set[str]:
        needs = release["jobs"][name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*(before(each) for each in direct))

    assert {name: before(name) for name in release["jobs"]} == {
        "checks": set(), "package": {"checks"}, "images": {"checks", "package"},
        "publish": {"checks", "package", "images"}}
    # A job that needs a skipped one is skipped too, unless it says when it runs.
    condition = release["jobs"]["publish"]["if"]
    for part in ("!cancelled()", "needs.package.result == 'success'",
                 "needs.images.result == 'success'"):
        assert part in condition
    assert "${{ github.workflow }}" in called["concurrency"]["group"]
    assert called["concurrency"]["group"] != release["concurrency"]["group"]


def test_no_command_holds_an_expression() -> None:
    # What others choose, such as a branch's name, comes to a shell as a variable only.
    assert not [command for command in commands() if "${{" in command]


def test_every_task_exists() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = tasks_of(commands())
    assert used >= {"lint", "type", "test", "console", "audit", "deploy-check", "images",
                    "images-test", "dist"}
    assert used <= known


def test_everything_that_a_change_must_pass_here_is_checked_there() -> None:
    script = (PROJECT_ROOT / ".ci" / "run").read_text()
    tasks = set(re.findall(r"^make (.+)$", script, re.MULTILINE)[0].split())
    assert tasks <= tasks_of(commands())


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"])
def test_what_a_repository_needs_is_there(name: str) -> None:
    assert len((PROJECT_ROOT / name).read_text()) > 300
