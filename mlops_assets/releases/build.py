"""Build of ``model_bento`` and ``rollout``."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_assets.contracts.backends import read_pick
from mlops_assets.contracts.files import BENTO_FILE, BENTOML_FOLDER, bento_folder
from mlops_assets.contracts.model_card import read_card
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.releases.bento import build_bento, read_container_file
from resources.bentos import list_files
from resources.steps import Workspace

STATE_FILE = "rollout.json"
CONTAINER_FILE = "Dockerfile"


def bento_home(home: Path) -> Path:
    """``BENTOML_HOME`` of a platform home."""
    return home / BENTOML_FOLDER


def build_model_bento(work: Workspace, home: Path, project_root: Path) -> None:
    """Build the bento of the exported model; the artifact lists its files and their hashes."""
    folder, pick = work.read("exported_model"), read_pick(work.read("backend_comparison"))
    built = build_bento(folder, bentoml_home=bento_home(home), project_root=project_root, pick=pick)
    card = read_card(folder).as_served(pick)
    out, summary = work.out("model_bento"), work.summary("model_bento")
    facts = {"tag": built.tag, "model_version": card.version, "files": built.files}
    (out / BENTO_FILE).write_bytes(canonical_json(facts))
    container = read_container_file(built.path)
    (out / CONTAINER_FILE).write_text(container)
    summary.values |= {"bento_tag": built.tag, "model_version": card.version,
                       "backend": pick.backend, "precision": pick.precision,
                       "files": len(built.files)}
    summary.check("holds_the_model", passed=built.files.get("src/model/model.onnx") ==
                  card.program_sha256, description="the bento's program is the exported one")


def bento_is_whole(folder: Path, home: Path) -> bool:
    """Whether the bento of a ``model_bento`` folder lies in its store, every file as listed."""
    facts = json.loads((folder / BENTO_FILE).read_bytes())
    bento = bento_folder(bento_home(home), facts["tag"])
    listed: dict[str, str] = facts["files"]
    return bento.is_dir() and list_files(bento) == listed


def read_release(folder: Path) -> tuple[str, str]:
    """Bento tag and model version of a ``model_bento`` folder."""
    facts = json.loads((folder / BENTO_FILE).read_bytes())
    return facts["tag"], facts["model_version"]


def write_state(work: Workspace, state: RolloutState) -> None:
    """Fill ``rollout`` with the state of serving."""
    (work.out("rollout") / STATE_FILE).write_bytes(canonical_json(state.model_dump(mode="json")))
    summary = work.summary("rollout")
    summary.values |= {"revision": state.revision, "step": state.step, "reason": state.reason}
    summary.tables["slots"] = [
        {"slot": slot, "bento": assignment.bento_tag, "model": assignment.model_version[:16],
         "weight": assignment.weight} for slot, assignment in sorted(state.slots.items())
    ]
    summary.check("champion_serves", passed="champion" in state.slots,
                  description="some model version is champion")
