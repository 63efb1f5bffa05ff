"""The web console's own checks, and the Node that they run on where the machine has none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.config import PROJECT_ROOT

pytestmark = pytest.mark.slow
NODE = PROJECT_ROOT / "deploy" / "node.sh"
WEB = "ui/web"
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH",
               "E403", "E502", "E503", "_CERT")
# Set where the registry is known to be there, as in the workflows.
REQUIRED = "MLOPS_WEB_CHECKS_REQUIRED"
# What the shell and uv need beside Node; a folder of links to them is a machine without Node.
NEEDED = ("bash", "dirname", "env", "sh", "uname")


def run(*words: str | Path, path: str | None = None) -> str:
    """What a command says on stdout.

    Raises:
        AssertionError: it fails; with all that it said.
    """
    done = subprocess.run(
        list(map(str, words)), cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
        timeout=540, env={**os.environ, **({} if path is None else {"PATH": path})})
    assert done.returncode == 0, f"{words}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def modules() -> Path:
    """What the pages are made with, as ``package-lock.json`` has it."""
    folder, lock = PROJECT_ROOT / WEB / "node_modules", PROJECT_ROOT / WEB / "package-lock.json"
    stamp = folder / ".locked"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        try:
            run(NODE, WEB, "npm", "ci", "--no-audit", "--no-fund")
        except AssertionError as error:
            if REQUIRED in os.environ or not any(code in str(error) for code in UNREACHABLE):
                raise
            pytest.skip("npm's registry can not be reached, so the pages were not checked")
        stamp.write_bytes(lock.read_bytes())
    return folder


@pytest.mark.parametrize("script", ["lint", "typecheck", "test"])
def test_pages_pass_their_own_checks(modules: Path, script: str) -> None:
    run(NODE, WEB, "npm", "run", script)


def test_types_are_those_of_the_api(modules: Path, tmp_path: Path) -> None:
    run(NODE, WEB, "npx", "openapi-typescript", "openapi.json", "-o", tmp_path / "schema.d.ts")
    kept = PROJECT_ROOT / WEB / "src" / "api" / "schema.d.ts"
    assert (tmp_path / "schema.d.ts").read_text() == kept.read_text(), "run `make console`"


@contextmanager
def no_node(folder: Path) -> Iterator[str]:
    """A ``PATH`` on which there is no Node."""
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    assert shutil.which("node", path=str(folder)) is None
    yield str(folder)


def test_node_comes_from_a_package_where_there_is_none(tmp_path: Path) -> None:
    place = tmp_path / "checkout"
    (place / "deploy").mkdir(parents=True)
    (place / "web").mkdir()
    shutil.copy(NODE, place / "deploy")
    tools = place / ".bootstrap" / "bin"
    tools.mkdir(parents=True)
    for name in ("uv", "python"):
        (tools / name).symlink_to(PROJECT_ROOT / ".bootstrap" / "bin" / name)
    with no_node(tmp_path / "bin") as path:
        version = run(place / "deploy" / "node.sh", "web", "node", "--version", path=path)
        assert int(version.removeprefix("v").split(".")[0]) >= 20
        assert (place / ".bootstrap" / "node" / "bin" / "npm").exists()
        assert run(place / "deploy" / "node.sh", "web", "npm", "--version", path=path)
        # The second time nothing is fetched: there is no way to.
        (tools / "uv").unlink()
        where = run(place / "deploy" / "node.sh", "web", "node", "-p", "process.cwd()", path=path)
        assert where.strip() == str(place / "web")
