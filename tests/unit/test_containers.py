"""The images: what the Dockerfile says, what each installs, and that it can run with only that."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from deploy.images import (
    TARGETS,
    BuildFailed,
    NoEngine,
    build,
    build_command,
    find_builder,
    find_runner,
    project_version,
)
from deploy.tools import tool_folder
from deploy.torch_lock import split_lock
from mlops_assets.config import PROJECT_ROOT, load_settings
from mlops_assets.releases.requirements import REQUIREMENTS
from tests.docker_file import DOCKERFILE, reaches_the_builder, read_stages
from tests.locks import IMAGES, image_pins, read_pins
from tests.unit.test_dependencies import normal

OWN = ("mlops_assets", "resources", "sensors", "bentos", "deploy", "ui")
SLIM = ("console", "service")
# What each slim image runs.
ENTRIES = {
    "console": ("ui.server.__main__", "deploy.probe"),
    "service": ("bentos.service", "deploy.serve", "deploy.probe"),
}
# Imported inside a function that only a step of a run calls, or a store that has a remote.
STEPS_ALONE = {"console": {"dagster", "dagster_mlflow", "fsspec"}, "service": set[str]()}
STAGES = read_stages()
# Refuses every module of a package that the image lacks, then imports what it runs.
BLOCKED = """
import importlib, json, sys
refused, entries = json.loads(sys.argv[1])
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in refused or name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)
sys.meta_path.insert(0, Refuse())
for entry in entries:
    importlib.import_module(entry)
"""


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([tool_folder("containers") / "hadolint", DOCKERFILE],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_checkov_finds_nothing() -> None:
    done = subprocess.run(
        [tool_folder("checkov") / "checkov", "--config-file", "deploy/checkov.yaml",
         "--framework", "dockerfile", "--file", "deploy/Dockerfile", "--output", "json"],
        capture_output=True, text=True, check=False, cwd=PROJECT_ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["summary"]["passed"] > 100


@pytest.mark.parametrize("target", TARGETS)
def test_image_is_confined_and_tells_its_health(target: str) -> None:
    stage = STAGES[target]
    assert stage.parent == "base"
    assert stage.words("USER") == ["10001:10001"]
    assert not stage.words("RUN")
    assert "deploy.probe" in stage.words("HEALTHCHECK")[0]
    assert 'org.opencontainers.image.version="${VERSION}"' in stage.words("LABEL")[0]
    # Nothing but environments and sources comes from the stages that hold an installer.
    assert {tuple(words.split()[1:]) for words in stage.words("COPY")} == {
        ("/opt/venv", "/opt/venv"), ("/app", "/app")}


@pytest.mark.parametrize("target", TARGETS)
def test_image_states_a_commit_that_its_sources_were_checked_for(target: str) -> None:
    assert "REVISION" in STAGES[target].words("ARG")
    assert "MLOPS_CODE_COMMIT=${REVISION}" in STAGES[target].words("ENV")
    sources = next(words.split()[0].removeprefix("--from=")
                   for words in STAGES[target].words("COPY") if "/app" in words)
    (check,) = [words for words in STAGES[sources].words("RUN") if "REVISION" in words]
    for said, status in (("a" * 40, 0), (f"{'a' * 40}-dirty", 0), ("unknown", 1), ("", 1),
                         ("a" * 39, 1), ("a" * 41, 1)):
        done = subprocess.run(["sh", "-c", check], env=os.environ | {"REVISION": said},
                              capture_output=True, text=True, check=False)
        assert done.returncode == status, said
        assert ("must be a commit" in done.stderr) == bool(status)


@pytest.mark.parametrize("target", ["platform", "platform-cuda"])
def test_training_compiles_nothing_where_there_is_no_compiler(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (word,) = [word for words in STAGES[target].words("ENV") for word in words.split()
               if word.startswith("MLOPS__")]
    assert load_settings("production").training.compile is True
    monkeypatch.setenv(*word.split("=", 1))
    assert load_settings("production").training.compile is False


def test_user_has_a_name_without_an_entry_among_the_users(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    said = dict(word.split("=", 1) for words in STAGES["base"].words("ENV")
                for word in words.split())
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
        if name in said:
            monkeypatch.setenv(name, said[name])
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert getpass.getuser() == "mlops"


def test_version_is_the_projects() -> None:
    assert {words for stage in STAGES.values() for words in stage.words("ARG")
            if words.startswith("VERSION")} == {f"VERSION={project_version()}"}


@pytest.mark.parametrize("target", [*SLIM, "platform"])
def test_image_installs_what_the_projects_locks_pin(target: str) -> None:
    known = read_pins(PROJECT_ROOT / "requirements.lock")
    # Its optional part for S3 is locked with what tests run.
    tried = read_pins(PROJECT_ROOT / "requirements-dev.lock")
    for name, versions in image_pins(target).items():
        assert versions <= known.get(name, tried.get(name, set())), name


def test_platform_image_lacks_nothing_that_is_locked() -> None:
    assert read_pins(PROJECT_ROOT / "requirements.lock").keys() <= image_pins("platform").keys()
    assert {"s3fs", "dvc-s3", "boto3"} & image_pins("platform").keys() >= {"s3fs", "dvc-s3"}


@pytest.mark.parametrize("target", SLIM)
def test_slim_image_holds_nothing_of_training(target: str) -> None:
    pins = image_pins(target).keys()
    assert not [name for name in pins if name.startswith(("torch", "triton", "dagster", "timm"))]
    # The one that only reads what a GPU does.
    assert [name for name in pins if name.startswith("nvidia")] in ([], ["nvidia-ml-py"])


def test_slim_images_install_groups_of_the_project() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    for target in SLIM:
        assert f"--group pyproject.toml:{target} " in (IMAGES / f"{target}.lock").read_text()
    service = {normal(each.partition("[")[0].partition(";")[0].strip())
               for each in project["dependency-groups"]["service"]}
    assert set(REQUIREMENTS) <= service


def _refused(target: str) -> list[str]:
    pins = image_pins(target).keys()
    there = {path.partition("/")[0] for path in STAGES[f"{target}-sources"].copied}
    missing = [name for name, packages in packages_distributions().items()
               if name not in OWN and not {normal(each) for each in packages} & pins]
    assert {"torch", "dagster", "timm"} <= set(missing)
    return missing + [name for name in OWN if name not in there]


@pytest.mark.parametrize("target", SLIM)
def test_slim_image_starts_with_what_it_installs(target: str, tmp_path: Path) -> None:
    wanted = json.dumps([_refused(target), ENTRIES[target]])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, wanted], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)})
    assert done.returncode == 0, done.stderr


def test_missing_package_is_noticed(tmp_path: Path) -> None:
    wanted = json.dumps([["uvicorn"], ENTRIES["console"]])
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, wanted], capture_output=True, text=True, check=False,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)})
    assert "the image has no uvicorn" in done.stderr


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*OWN, include_external_packages=True)


@pytest.mark.parametrize("target", SLIM)
def test_slim_image_holds_what_is_imported_late(graph: grimp.ImportGraph, target: str) -> None:
    waiting, seen, outside = list(ENTRIES[target]), set[str](), set[str]()
    while waiting:
        module = waiting.pop()
        if module.partition(".")[0] not in OWN:
            outside.add(module.partition(".")[0])
        elif module not in seen:
            seen.add(module)
            waiting += graph.find_modules_directly_imported_by(module)
            waiting += [module.rpartition(".")[0]] if "." in module else []
    assert outside & set(_refused(target)) == STEPS_ALONE[target]


def test_torch_and_what_only_torch_needs_are_apart() -> None:
    rest, torch = read_pins(IMAGES / "platform.lock"), read_pins(IMAGES / "torch.lock")
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= torch.keys()
    assert {"numpy", "sympy", "nvidia-ml-py"} <= rest.keys()
    assert not rest.keys() & torch.keys()


def test_split_keeps_every_line() -> None:
    pins = ["numpy==2 \\\n    --hash=sha256:a\n    # via\n    #   mine\n    #   torch",
            "nv==1 \\\n    --hash=sha256:b\n    # via torch",
            "nv-deep==1 \\\n    --hash=sha256:c\n    # via nv",
            "torch==3 \\\n    --hash=sha256:d\n    # via\n    #   mine\n    #   timm",
            "torchvision==4 \\\n    --hash=sha256:e\n    # via mine"]
    rest, torch = split_lock("\n".join(["# head", *pins, ""]))
    assert rest == f"# head\n{pins[0]}\n"
    assert torch.splitlines()[1:] == "\n".join(pins[1:]).splitlines()
    with pytest.raises(ValueError, match="does not hold torch"):
        split_lock(rest)


@pytest.mark.parametrize("path", [
    ".git/config", ".venv/bin/python", ".platform/platform.db", "data/FashionMNIST/raw.gz",
    "tests/images.py", "docs/deploy.md", "deploy/.env", "deploy/k8s/secrets/password.txt",
    "configs/tls.key", "deploy/compose/server.pem", "ui/web/node_modules/x.js", "ui/web/src/a.ts",
    "mlops_assets/__pycache__/config.cpython-311.pyc", ".bootstrap/bin/uv", "benchmarks/home.py",
])
def test_builder_does_not_get(path: str) -> None:
    assert not reaches_the_builder(path)


def test_builder_gets_what_images_are_made_of() -> None:
    copied = [path for stage in STAGES.values() for path in stage.copied]
    assert "mlops_assets" in copied
    for path in copied:
        assert (PROJECT_ROOT / path).exists(), path
        for file in (f"{path}/__init__.py",) if path == "ui" else (path,):
            assert reaches_the_builder(file), file
    assert reaches_the_builder("ui/server/static/index.html")
    assert reaches_the_builder("resources/migrations/script.py.mako")


def _programs(folder: Path, **said: int) -> None:
    folder.mkdir()
    for name, status in said.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)


@pytest.mark.parametrize(("said", "builder", "runner"), [
    ({"docker": 0, "podman": 0}, "docker", "docker"),
    ({"docker": 1, "podman": 0}, "podman", "podman"),
    ({"docker": 1, "buildah": 0}, "buildah", None),
    ({"docker": 1}, None, None),
])
def test_engine_is_the_first_that_works(
    said: dict[str, int], builder: str | None, runner: str | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _programs(tmp_path / "bin", **said)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for find, found in ((find_builder, builder), (find_runner, runner)):
        if found is None:
            with pytest.raises(NoEngine, match="install one"):
                find()
        else:
            assert find() == found


def test_build_names_base_revision_and_format(tmp_path: Path) -> None:
    command = build_command("podman", "console", id_file=tmp_path / "id", base="mirror:1",
                            revision="abc", flags=("--quiet",))
    assert command[:2] == ["podman", "build"]
    assert command[-2:] == ["--quiet", "."]
    line = " ".join(command)
    for part in ("--format docker", "--target console", "BASE=mirror:1", "REVISION=abc",
                 f"--tag mlops-assets/console:{project_version()}"):
        assert part in line
    assert "--format" not in build_command(
        "docker", "console", id_file=tmp_path / "id", revision="abc")


# An engine writes the id of a whole image behind `--iidfile`.
WRITES_ID = """#!/bin/sh
while [ "$1" != --iidfile ]; do shift; done
echo sha256:abc > "$2"
"""


@pytest.mark.parametrize("said", ["#!/bin/sh\nexit 0\n", f"{WRITES_ID}exit 3\n"])
def test_build_that_leaves_no_whole_image_fails(said: str, tmp_path: Path) -> None:
    engine = tmp_path / "podman"
    engine.write_text(said)
    engine.chmod(0o755)
    with pytest.raises(BuildFailed, match="console was not built"):
        build(str(engine), "console", revision="abc")
    engine.write_text(WRITES_ID)
    assert build(str(engine), "console", revision="abc") == "sha256:abc"
