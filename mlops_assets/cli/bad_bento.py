"""A bento that looks healthy and is wrong: every class has another's name."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from mlops_assets.config import PROJECT_ROOT, Settings
from mlops_assets.contracts.model_card import CARD_FILE, read_card
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes
from mlops_assets.releases.bento import build_bento
from mlops_assets.releases.build import bento_home
from mlops_assets.serving.effect import change
from mlops_assets.serving.states import arrive
from resources.mlflow import Tracking
from resources.store import open_store


def release_wrong_bento(settings: Settings, *, actor: str) -> str:
    """Release a copy of the last exported model with its classes moved by one, past the gate.

    It answers in time and without an error, and its own golden check passes. Gives its tag.
    """
    store = open_store(settings.home)
    exported = store.path(store.pin("exported_model"))
    card = read_card(exported)
    moved = card.model_copy(update={
        "classes": [*card.classes[1:], card.classes[0]],
        "version": sha256_bytes(f"classes moved by one: {card.version}".encode()),
    })
    with tempfile.TemporaryDirectory(prefix="wrong-bento-") as folder:
        model = Path(folder, "model")
        shutil.copytree(exported, model)
        (model / CARD_FILE).write_bytes(canonical_json(moved.model_dump(mode="json")))
        built = build_bento(model, bentoml_home=bento_home(settings.home),
                            project_root=PROJECT_ROOT)

    def begin(state: RolloutState, now: datetime) -> RolloutState:
        return arrive(state, built.tag, moved.version, now=now, automatic=True,
                      reason=f"{built.tag} is a drill: a wrong model that passed no gate")

    change(settings.home, Tracking(settings.home, settings.release.experiment),
           settings.release.model_name, begin, actor=actor, action="release",
           details={"bento": built.tag, "why": "a drill: a wrong model past the gate"})
    return built.tag
