"""Runs each built image as a cluster does: read-only, as 10001, without capabilities or a network.

``make images-test``, after ``make images``. No part of the suite: it needs docker or podman.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from deploy.images import TARGETS, NoEngine, find_runner, image_name
from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.releases.bento import build_bento
from mlops_assets.serving.states import publish_state, release
from resources.api_keys import ApiKeys
from resources.console_users import ConsoleUsers
from resources.platform_db import PlatformDatabase
from tests.digits import write_digits
from tests.model_dir import encode, random_image, write_model_dir

USER: Final = 10001
WAIT_SECONDS: Final = 180
# Asks from within, as there is no network; prints the status and what was answered.
ASK: Final = """
import sys, urllib.error, urllib.request
url, key, path = (*sys.argv[1:], "", "")[:3]
body = open(path, "rb").read() if path else None
headers = {"content-type": "image/png"} if body else {}
if key:
    headers["authorization"] = f"Bearer {key}"
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode())
"""
CONFINED: Final = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, status
assert status["NoNewPrivs"].strip() == "1", status
assert os.getuid() == os.getgid() == 10001
for folder in ("/app", "/opt/venv", "/etc", "/usr"):
    try:
        open(f"{folder}/written", "w")
    except OSError:
        continue
    raise AssertionError(f"{folder} can be written")
"""
LACKS: Final = """
import importlib.util, shutil
found = [name for name in ("torch", "dagster") if importlib.util.find_spec(name)]
tools = [name for name in ("gcc", "cc", "make", "git", "curl") if shutil.which(name)]
assert not found and not tools, (found, tools)
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A platform's home with a released model, a user, and a key of the service."""

    home: Path
    key: str


def prepare(folder: Path) -> Prepared:
    """Make the home below ``folder``, so that 10001 can write it."""
    home = folder / "home"
    card = write_model_dir(folder / "model")
    bento = build_bento(folder / "model", bentoml_home=home / "bentoml", project_root=PROJECT_ROOT)
    state = release(RolloutState(revision=0), bento.tag, card.version, now=datetime.now(UTC))
    with closing(PlatformDatabase(home)) as database:
        database.change_state(state, actor="images", action="release", details={})
        key = ApiKeys(database).create(name="images", scopes=["predict"], actor="images",
                                       reason="a test of images").text
        ConsoleUsers(database).create(
            "ada", "admin", uuid.uuid4().hex, actor="images", reason="a test of images")
    publish_state(home, state)
    write_digits(home / "photos", per_class=20)
    (home / "image.png").write_bytes(encode(random_image(1, card.pixels)))
    for path in (home, *home.rglob("*")):
        if os.getuid() == 0:
            os.chown(path, USER, USER)
        else:
            path.chmod(0o777 if path.is_dir() else 0o666)
    return Prepared(home, key)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    engine: str
    name: str

    def python(self, code: str, *arguments: str) -> str:
        """What a program prints in it."""
        done = subprocess.run(
            [self.engine, "exec", self.name, "python", "-c", code, *arguments],
            capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, url: str, *arguments: str) -> tuple[int, str]:
        """Status and body of an answer."""
        status, _, body = self.python(ASK, url, *arguments).partition("\n")
        return int(status), body

    def alive(self) -> bool:
        """Whether its program still runs."""
        said = subprocess.run(
            [self.engine, "inspect", "--format", "{{.State.Running}}", self.name],
            capture_output=True, text=True, check=True)
        return said.stdout.strip() == "true"

    def wait(self, url: str) -> float:
        """Seconds until the probe that is the image's health check finds it ready."""
        start = time.monotonic()
        while time.monotonic() - start < WAIT_SECONDS:
            done = subprocess.run(
                [self.engine, "exec", self.name, "python", "-m", "deploy.probe", url],
                capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return time.monotonic() - start
            if not self.alive():
                break
            time.sleep(0.5)
        logs = subprocess.run([self.engine, "logs", self.name], capture_output=True, text=True,
                              check=False)
        raise AssertionError(f"{url} is not ready: {done.stderr}\n{logs.stdout}{logs.stderr}")


@contextmanager
def running(engine: str, target: str, home: Path, *command: str) -> Iterator[Container]:
    """One image as a cluster runs it."""
    name = f"mlops-{target}-{uuid.uuid4().hex[:8]}"
    subprocess.run([
        engine, "run", "--detach", "--name", name, "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--network", "none", "--tmpfs", "/tmp",
        "--volume", f"{home}:/platform", image_name(target), *command,
    ], check=True, stdout=subprocess.DEVNULL)
    try:
        yield Container(engine, name)
    finally:
        subprocess.run([engine, "rm", "--force", "--volumes", name], check=True,
                       stdout=subprocess.DEVNULL)


def check_service(engine: str, prepared: Prepared) -> str:
    """Ready, an answer for who has a key, none for others."""
    with running(engine, "service", prepared.home) as service:
        seconds = service.wait("http://127.0.0.1:8000/readyz")
        service.python(CONFINED)
        service.python(LACKS)
        asked = ("http://127.0.0.1:8000/v1/predict", prepared.key, "/platform/image.png")
        status, body = service.ask(*asked)
        assert status == 200, body
        refused, _ = service.ask(asked[0], "", asked[2])
        assert refused == 401
    return f"ready after {seconds:.0f} s, answers {json.loads(body)['label']}, 401 without a key"


def check_console(engine: str, prepared: Prepared) -> str:
    """Ready, its page, its metrics, nothing for who has not signed in."""
    with running(engine, "console", prepared.home) as console:
        seconds = console.wait("http://127.0.0.1:8080/readyz")
        console.python(CONFINED)
        console.python(LACKS)
        status, page = console.ask("http://127.0.0.1:8080/")
        assert status == 200 and "<div id=" in page, page
        assert console.ask("http://127.0.0.1:8080/metrics")[0] == 200
        assert console.ask("http://127.0.0.1:8080/api/v1/loop")[0] == 401
    return f"ready after {seconds:.0f} s, its page, 401 without a session"


# Images of the volume become a validated batch: code state, DVC and the store, where nothing but
# the volume may be written.
MATERIALIZES: Final = """
import os, subprocess
settings = {"SOURCE": "image_folder", "ROOT": "/platform/photos", "PIXELS__HEIGHT": "16",
            "PIXELS__WIDTH": "16", "PIXELS__CHANNELS": "1"}
variables = {f"MLOPS__DATASET__{key}": value for key, value in settings.items()}
subprocess.run(["dg", "launch", "--assets", "raw_images,validated_images,quarantined_images",
                "--partition", "initial"], check=True, env=os.environ | variables)
"""


def check_platform(engine: str, prepared: Prepared, target: str = "platform") -> str:
    """The code location, MLflow, and that torch computes."""
    with running(engine, target, prepared.home) as code:
        seconds = code.wait("tcp://127.0.0.1:3001")
        code.python(CONFINED)
        code.python("import torch; assert float(torch.ones(3) @ torch.ones(3)) == 3")
        code.python("import subprocess; subprocess.run(['mlops', '--version'], check=True)")
        code.python(MATERIALIZES)
    with running(
        engine, target, prepared.home, "python", "-m", "deploy.mlflow_server",
        "--backend-store-uri", "sqlite:////platform/mlflow.db", "--artifacts-destination",
        "/platform/artifacts", "--allowed-hosts", "localhost:5000,127.0.0.1:5000",
        "--host", "127.0.0.1", "--port", "5000",
    ) as mlflow:
        mlflow.wait("http://127.0.0.1:5000/health")
    return f"code location after {seconds:.0f} s, torch computes, MLflow is ready"


def size(engine: str, target: str) -> str:
    """Megabytes of an image."""
    said = subprocess.run([engine, "image", "inspect", "--format", "{{.Size}}", image_name(target)],
                          capture_output=True, text=True, check=False)
    if said.returncode != 0:
        sys.exit(f"images: there is no image {image_name(target)}: `make images` first")
    return f"{int(said.stdout) / 1e6:.0f} MB"


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(TARGETS))
@click.option("--engine", envvar="ENGINE", default="", help="docker or podman.")
def main(targets: tuple[str, ...], engine: str) -> None:
    """Check TARGETS, or all images."""
    try:
        runner = find_runner(engine)
    except NoEngine as error:
        sys.exit(f"images: {error}")
    sizes = {target: size(runner, target) for target in targets or TARGETS}
    folder = Path(tempfile.mkdtemp(prefix="images-"))
    try:
        prepared = prepare(folder)
        folder.chmod(0o755)
        for target, megabytes in sizes.items():
            if target == "service":
                said = check_service(runner, prepared)
            elif target == "console":
                said = check_console(runner, prepared)
            else:
                said = check_platform(runner, prepared, target)
            click.echo(f"{target}: {megabytes}, {said}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
