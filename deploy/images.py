"""Builds the images of ``deploy/Dockerfile`` with docker, podman or buildah."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

import click

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.environment import DIRTY, read_checkout

# In the order of their size: a fault shows soon.
TARGETS: Final = ("console", "service", "platform", "platform-cuda")
DOCKERFILE: Final = "deploy/Dockerfile"
NO_BUILDER: Final = (
    "no docker with a running daemon and buildx, no podman and no buildah on this machine: install "
    "one, such as with `apt-get install podman`, or name another with ENGINE=")
NO_RUNNER: Final = (
    "images are tested by docker or podman, and neither can be used on this machine: install one, "
    "such as with `apt-get install podman`")


class NoEngine(PlatformError):
    """Nothing here builds or runs images; the message says what to install."""


class BuildFailed(PlatformError):
    """An image was not built; what the engine said stands above."""


def _answers(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def find_builder(wanted: str = "") -> str:
    """``wanted``, else the first program here that can build.

    Raises:
        NoEngine: there is none.
    """
    if wanted:
        if shutil.which(wanted) is None:
            raise NoEngine(f"there is no program `{wanted}` on this machine: install it")
        return wanted
    if _answers("docker", "info") and _answers("docker", "buildx", "version"):
        return "docker"
    for name in ("podman", "buildah"):
        if shutil.which(name):
            return name
    raise NoEngine(NO_BUILDER)


def find_runner(wanted: str = "") -> str:
    """``wanted``, else the first program here that can run containers.

    Raises:
        NoEngine: there is none.
    """
    if wanted in ("docker", "podman") and shutil.which(wanted):
        return wanted
    if not wanted:
        if _answers("docker", "info"):
            return "docker"
        if shutil.which("podman"):
            return "podman"
    raise NoEngine(NO_RUNNER)


def project_version(root: Path = PROJECT_ROOT) -> str:
    """The version that the images are tagged with."""
    content = tomllib.loads((root / "pyproject.toml").read_text())
    return str(content["project"]["version"])


def image_name(target: str) -> str:
    """Name and tag of one image."""
    return f"mlops-assets/{target}:{project_version()}"


def find_revision(root: Path = PROJECT_ROOT) -> str:
    """The commit of the checkout at ``root``, which is the revision of its images.

    Raises:
        UnknownProvenance: it has none.
    """
    state = read_checkout(root)
    return f"{state.commit}{DIRTY}" if state.dirty else state.commit


def build_command(
    engine: str, target: str, *, id_file: Path, revision: str, base: str = "",
    flags: tuple[str, ...] = (),
) -> list[str]:
    """The argument list that builds one image from the project's folder.

    The engine writes the image's id into ``id_file`` when it is whole. ``base`` is another base
    image; ``flags`` go to the engine as they are, such as secrets.
    """
    # Other formats of an image hold no health check.
    form = [] if engine == "docker" else ["--format", "docker"]
    arguments = {"VERSION": project_version(), "REVISION": revision} | (
        {"BASE": base} if base else {})
    return [
        engine, "build", *form, "--file", DOCKERFILE, "--target", target,
        "--tag", image_name(target), "--iidfile", str(id_file),
        *(part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")),
        *flags, ".",
    ]


def build(
    engine: str, target: str, *, revision: str, base: str = "",
    flags: tuple[str, ...] = (),
) -> str:
    """Build one image; its id.

    Raises:
        BuildFailed: the engine failed, or was interrupted.
    """
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        id_file = Path(folder, "id")
        command = build_command(
            engine, target, id_file=id_file, base=base, revision=revision, flags=flags)
        click.echo(shlex.join(command))
        done = subprocess.run(command, cwd=PROJECT_ROOT, check=False,
                              env=os.environ | {"DOCKER_BUILDKIT": "1"})
        # podman that is interrupted may end with 0, beside an older image of the same name.
        built = id_file.read_text().strip() if id_file.is_file() else ""
    if done.returncode != 0 or not built:
        raise BuildFailed(f"{target} was not built: {engine} ended with {done.returncode}")
    return built


@click.command(epilog="Example: python -m deploy.images console service")
@click.argument("targets", nargs=-1, type=click.Choice(TARGETS))
@click.option("--engine", envvar="ENGINE", default="", help="docker, podman or buildah.")
@click.option("--base", envvar="BASE", default="", help="Another base image, with Python 3.11.")
@click.option("--flags", envvar="FLAGS", default="",
              help="Further arguments of the engine, such as --secret id=ca,src=FILE.")
def main(targets: tuple[str, ...], engine: str, base: str, flags: str) -> None:
    """Build TARGETS, or all of them."""
    try:
        builder, revision = find_builder(engine), find_revision()
        for target in targets or TARGETS:
            built = build(builder, target, base=base, revision=revision,
                          flags=tuple(shlex.split(flags)))
            click.echo(f"{image_name(target)} is {built}")
    except PlatformError as error:
        sys.exit(f"images: {error}")


if __name__ == "__main__":
    main()
