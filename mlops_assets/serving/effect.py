"""A changed state of serving takes effect: the file that services read, the edge, the aliases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.prediction import Slot
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.serving.states import publish_state
from resources.durable import locked
from resources.gateway import open_route
from resources.mlflow import CHALLENGER, CHAMPION, Tracking
from resources.platform_db import PlatformDatabase


def change(
    home: Path, tracking: Tracking, name: str,
    how: Callable[[RolloutState, datetime], RolloutState],
    *, actor: str, action: str, details: dict[str, Any],
) -> RolloutState:
    """Change the state of serving, audit it, and put the state into effect.

    ``how`` gives the next state from the present one; the same state means nothing to change.

    Raises:
        ImpossibleChange, ConflictingChange: nothing has changed.
        EdgeError: it has changed; see ``put_into_effect``.
    """
    with closing(PlatformDatabase(home)) as database:
        present = database.read_state()
        state = how(present, datetime.now(UTC))
        if state != present:
            database.change_state(state, actor=actor, action=action, details=details)
        put_into_effect(home, database, tracking, name)
    return state


def put_into_effect(
    home: Path, database: PlatformDatabase, tracking: Tracking, name: str
) -> None:
    """Make services, the registry's aliases and the edge do what the state says; repeatable.

    One process at a time, with the state as it is then: of two changes that follow each other the
    first can not take effect last.

    Raises:
        EdgeError: the cluster's route could not be changed; services follow the state already, and
            the edge is brought in line by whoever calls ``reconcile_edge`` next.
    """
    (home / SERVING_FILE).parent.mkdir(parents=True, exist_ok=True)
    with locked((home / SERVING_FILE).parent):
        state = database.read_state()
        publish_state(home, state)
        _point_aliases(tracking, name, state)
        _move_edge(state)


def reconcile_edge(home: Path) -> None:
    """Give the versions the shares of the state, as after an apply of manifests or an outage.

    Raises:
        EdgeError: the cluster's route could not be changed.
    """
    if open_route() is None:
        return
    with locked((home / SERVING_FILE).parent), closing(PlatformDatabase(home)) as database:
        _move_edge(database.read_state())


def _move_edge(state: RolloutState) -> None:
    route = open_route()
    if route is not None:
        route.follow(state)


def _point_aliases(tracking: Tracking, name: str, state: RolloutState) -> None:
    aliases: tuple[tuple[Slot, str], ...] = (("champion", CHAMPION), ("challenger", CHALLENGER))
    for slot, alias in aliases:
        assignment = state.slots.get(slot)
        if assignment is None:
            if alias == CHALLENGER:
                tracking.drop_alias(name, alias)
            continue
        version = tracking.by_program(name, assignment.model_version)
        if version is not None:
            tracking.set_alias(version, alias)
