"""Checks of what serves: bentos against their listings, the audit log, the service's file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from mlops_assets.contracts.files import BENTO_FILE, SERVING_FILE
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.lineage.checks import RESTORE, Checked
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.lineage.subject import bento_place
from mlops_assets.provenance.integrity import Damage
from resources.bentos import list_files
from resources.store import DamagedArtifact

LOOKS: Final = 3
REBUILD: Final = "materialize `model_bento` again"


def check_bentos(home: Path, graph: Graph) -> Iterator[Checked]:
    """The bento of the current ``model_bento`` and every older one that is still there."""
    bentos, current = graph.of("model_bento"), _current_bento(graph)
    if current is not None and current in bentos:
        bentos.append(current)
    # A later build may have replaced an earlier one's bento under the same tag.
    latest = {_listing(graph, each)[0] or each.version: each for each in bentos}
    for tag, each in latest.items():
        if bento_place(home, tag).is_dir() or each == current:
            yield check_bento(home, graph, each)


def _current_bento(graph: Graph) -> Artifact | None:
    try:
        ref = graph.store.current("model_bento")
    except DamagedArtifact:
        # The check of references tells it.
        return None
    return None if ref is None else Artifact(ref.asset, ref.version)


def _listing(graph: Graph, bento: Artifact) -> tuple[str, dict[str, str]]:
    """Tag and files; empty when ``bento.json`` is damaged, which its artifact's check tells."""
    try:
        facts = json.loads((graph.folder(bento) / BENTO_FILE).read_bytes())
        return str(facts["tag"]), dict(facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", {}


def check_bento(home: Path, graph: Graph, bento: Artifact) -> Checked:
    """A bento's files against the listing of its artifact."""
    tag, files = _listing(graph, bento)
    place = bento_place(home, tag)
    if not tag or not place.is_dir():
        return Checked("bentos", tag or bento.version, 0,
                       (Damage(place, "is missing" if tag else "has no listing", REBUILD),))
    found = list_files(place)
    damages = [
        Damage(place / name, "does not match the listing of `model_bento`", REBUILD)
        for name in sorted(files.keys() | found.keys()) if files.get(name) != found.get(name)
    ]
    return Checked("bentos", tag, len(files), tuple(damages))


def check_serving(home: Path) -> Iterator[Checked]:
    """The chain of the audit log, the state of serving at its end, and the service's file."""
    from resources.platform_db import has_database

    if not has_database(home):
        return
    from sqlalchemy.exc import SQLAlchemyError

    from resources.platform_db import BrokenAuditLog, PlatformDatabase

    where = home / "platform.db"
    damages: list[Damage] = []
    entries = []
    try:
        with closing(PlatformDatabase(home)) as database:
            for _ in range(LOOKS):
                state, entries = database.read_state(), database.read_audit()
                told = [0, *(each.details["revision"] for each in entries
                             if "revision" in each.details)]
                # Somebody may have changed the state between the two.
                if told[-1] == state.revision:
                    break
        if told[-1] != state.revision:
            problem = f"holds state {state.revision}, but its audit log ends at {told[-1]}"
            damages.append(Damage(where, problem, RESTORE))
        damages += _check_published(home, state)
        damages += [Damage(bento_place(home, held.bento_tag), f"serves as {slot} and is missing",
                           REBUILD) for slot, held in state.slots.items()
                    if not bento_place(home, held.bento_tag).is_dir()]
    except (BrokenAuditLog, SQLAlchemyError, ValueError, KeyError, TypeError) as error:
        damages.append(Damage(where, f"is damaged: {' '.join(str(error).split())}", RESTORE))
    yield Checked("audit log", where.name, len(entries), tuple(damages))


def _check_published(home: Path, state: RolloutState) -> list[Damage]:
    champion, path = state.slots.get("champion"), home / SERVING_FILE
    if champion is None:
        return []
    wanted = state.model_dump(mode="json")
    try:
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        told = None
    if told == wanted:
        return []
    return [Damage(path, f"is not revision {state.revision} of the state of serving",
                   "materialize `rollout` again")]
