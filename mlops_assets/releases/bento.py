"""Builds the bento of one model folder: the service, the model, and nothing else.

The build runs in a process of its own, in a home of its own, without a network; the finished
bento is then renamed into the caller's bento store.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from mlops_assets.contracts.backends import Pick
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import (
    CARD_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    REFERENCE_FILE,
    ModelCard,
)
from mlops_assets.contracts.neighbours import NEIGHBOURS_FILE
from mlops_assets.provenance.hashing import canonical_json, sha256_file
from mlops_assets.releases.requirements import serving_requirements
from resources.bentos import list_files
from resources.durable import sync_tree, write_bytes

SERVICE: Final = "bentos.service:Classifier"
SOURCES: Final = (
    "bentos",
    "mlops_assets/__init__.py",
    "mlops_assets/contracts",
    "mlops_assets/provenance",
    "resources/__init__.py",
    "resources/api_keys.py",
    "resources/chain.py",
    "resources/data_services.py",
    "resources/durable.py",
    "resources/journal.py",
    "resources/memberships.py",
    "resources/platform_db.py",
    "resources/receipts.py",
)
MODEL_FILES: Final = (REFERENCE_FILE, GOLDEN_FILE)
# What a bento runs where nothing was compared: the exact program.
EXACT: Final = Pick(
    backend="onnxruntime", engine="onnxruntime", precision="fp32", program=PROGRAM_FILE)
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSION_LENGTH: Final = 16
BUILD_SECONDS: Final = 300


class BentoBuildFailed(PlatformError):
    """The bento was not built; the store is as it was."""


@dataclass(frozen=True, slots=True)
class BuiltBento:
    """A bento in its store. ``files`` maps relative POSIX paths to hex SHA-256.

    ``files`` leaves out ``VOLATILE``, the files that carry the time of the build: equal inputs
    give an equal listing.
    """

    tag: str
    path: Path
    files: dict[str, str]


def build_bento(
    model_dir: Path, *, bentoml_home: Path, project_root: Path, pick: Pick = EXACT
) -> BuiltBento:
    """Build ``<card name>:<first 16 hex of the model version>`` into ``bentoml_home``.

    Reduced precision answers otherwise, so its bento has a tag of its own, which ends in the
    precision: it takes a slot as another model does.

    A bento of that tag with the same files stays as it is; one with other files (the service's
    code changed) is replaced.

    Raises:
        BentoBuildFailed: no model, or ``bentoml build`` failed, with the end of what it said.
        UnpinnedRequirement: ``requirements.lock`` does not pin what serving needs.
    """
    card = _read_card(model_dir)
    version = card.version[:VERSION_LENGTH]
    if pick.precision != "fp32":
        version = f"{version}-{pick.precision}"
    tag = f"{card.name}:{version}"
    place = bentoml_home / "bentos" / card.name / version
    bentoml_home.mkdir(parents=True, exist_ok=True)
    # BentoML refuses a build context below a hidden folder, as `.platform` is one.
    with (
        tempfile.TemporaryDirectory(prefix="bento-stage-") as stage,
        tempfile.TemporaryDirectory(prefix=".build-", dir=bentoml_home) as home,
    ):
        _stage(Path(stage), model_dir, project_root, card, pick)
        _run_build(Path(stage), Path(home), version)
        built = Path(home) / "bentos" / card.name / version
        files = list_files(built)
        if not place.exists() or list_files(place) != files:
            sync_tree(built)
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                place.rename(Path(home, "replaced"))
            built.rename(place)
        write_bytes(place.parent / "latest", version.encode())
    return BuiltBento(tag=tag, path=place, files=files)


def read_container_file(bento_path: Path) -> str:
    """The Dockerfile that ``bentoml containerize`` builds from; written with the bento.

    Raises:
        FileNotFoundError: ``bento_path`` is no built bento.
    """
    return (bento_path / "env" / "docker" / "Dockerfile").read_text()


def _read_card(model_dir: Path) -> ModelCard:
    try:
        card = ModelCard.model_validate_json((model_dir / CARD_FILE).read_bytes())
        found = {name: sha256_file(model_dir / name) for name in card.programs}
    except (FileNotFoundError, ValueError) as error:
        raise BentoBuildFailed(f"{model_dir} is no model folder: {error}") from error
    for name, sha256 in card.programs.items():
        if found[name] != sha256:
            raise BentoBuildFailed(f"{model_dir / name} is not the program of its card")
    return card


def model_files(card: ModelCard, pick: Pick = EXACT) -> dict[str, str]:
    """Name in a service's model folder to name in an exported model, of the files it needs.

    All but the card, which is written anew; the program that runs is always ``model.onnx``.
    """
    names = (*MODEL_FILES, *card.as_served(pick).programs)
    return {name: name for name in names} | {PROGRAM_FILE: pick.program}


def _stage(
    stage: Path, model_dir: Path, project_root: Path, card: ModelCard, pick: Pick
) -> None:
    for name in SOURCES:
        source, target = project_root / name, stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    (stage / "model").mkdir()
    for name, origin in model_files(card, pick).items():
        shutil.copyfile(model_dir / origin, stage / "model" / name)
    if (model_dir / NEIGHBOURS_FILE).is_file():
        shutil.copyfile(model_dir / NEIGHBOURS_FILE, stage / "model" / NEIGHBOURS_FILE)
    served = card.as_served(pick)
    (stage / "model" / CARD_FILE).write_bytes(canonical_json(served.model_dump(mode="json")))
    options = {
        "service": SERVICE,
        "name": card.name,
        "description": f"# {card.name}\n\n{card.architecture}, model version `{card.version}`.\n",
        "labels": {"model-version": card.version, "program-sha256": served.program_sha256,
                   "backend": pick.backend, "precision": pick.precision},
        "include": ["bentos/", "mlops_assets/", "resources/", "model/"],
        "python": {
            "packages": [*serving_requirements(project_root / "requirements.lock"),
                         *pick.requirements],
            "lock_packages": False,
        },
        "docker": {"distro": "debian", "python_version": PYTHON},
    }
    (stage / "bentofile.yaml").write_text(yaml.safe_dump(options))


def _run_build(stage: Path, home: Path, version: str) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "bentoml", "build", "--version", version, str(stage)]
    done = subprocess.run(
        command,
        cwd=stage,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        told = (done.stdout + done.stderr).strip()[-2000:]
        raise BentoBuildFailed(f"bentoml build of {stage} failed ({done.returncode}): {told}")
