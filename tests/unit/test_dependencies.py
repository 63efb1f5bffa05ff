"""Every dependency has a reason on the page, and a pin without an address in the locks."""

from __future__ import annotations

import re
import tomllib

import pytest

from mlops_assets.config import PROJECT_ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")
NAME = re.compile(r"[A-Za-z0-9._-]+")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(requirements: list[str]) -> list[str]:
    found = [NAME.match(each) for each in requirements]
    return [each.group() for each in found if each]


def direct() -> list[str]:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    return names_of(project["dependencies"])


def extra(name: str) -> list[str]:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    return names_of(project["optional-dependencies"][name])


def developing() -> list[str]:
    return extra("dev")


def optional() -> list[str]:
    return sorted(name for each in ("openvino", "ray") for name in extra(each))


def pins(lock: str) -> set[str]:
    lines = (PROJECT_ROOT / lock).read_text().splitlines()
    return {normal(line.partition("==")[0].partition("[")[0])
            for line in lines if re.match(r"[A-Za-z0-9]", line) and "==" in line}


def test_page_lists_exactly_the_direct_dependencies() -> None:
    page = (PROJECT_ROOT / "docs" / "dependencies.md").read_text()
    running, _, rest = page.partition("## Optional")
    wanted, _, rest = rest.partition("## To develop")
    assert [row[0] for row in ROW.findall(running)] == direct()
    assert [row[0] for row in ROW.findall(wanted)] == optional()
    assert [row[0] for row in ROW.findall(rest)] == developing()


def test_what_is_optional_is_not_installed_by_default() -> None:
    assert not {normal(each) for each in optional()} & pins("requirements.lock")


def test_used_in_names_real_places() -> None:
    page = (PROJECT_ROOT / "docs" / "dependencies.md").read_text()
    for name, _, places in ROW.findall(page):
        for place in re.findall(r"`([a-z_]+/[^`]+)`", places):
            assert (PROJECT_ROOT / place).exists(), f"{name}: {place}"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_no_address(lock: str) -> None:
    assert "://" not in (PROJECT_ROOT / lock).read_text()


def test_every_direct_dependency_is_pinned() -> None:
    assert {normal(each) for each in direct()} <= pins("requirements.lock")
    every = direct() + optional() + developing()
    assert {normal(each) for each in every} <= pins("requirements-dev.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (PROJECT_ROOT / lock).read_text())
    for block in blocks:
        if re.match(r"[A-Za-z0-9][^\n]*==", block):
            assert "--hash=sha256:" in block, block.splitlines()[0]
