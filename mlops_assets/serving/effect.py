"""A changed state of serving takes effect: the file that services read, the edge, the aliases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.contracts.prediction import Slot
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.serving.states import publish_state
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
    """
    with closing(PlatformDatabase(home)) as database:
        present = database.read_state()
        state = how(present, datetime.now(UTC))
        if state != present:
            database.change_state(state, actor=actor, action=action, details=details)
    put_into_effect(home, tracking, name, state)
    return state


def put_into_effect(home: Path, tracking: Tracking, name: str, state: RolloutState) -> None:
    """Make services, the edge and the registry's aliases do what the state says; repeatable.

    Raises:
        EdgeError: the cluster's route could not be changed; services follow the state already.
    """
    publish_state(home, state)
    route = open_route()
    if route is not None:
        route.follow(state)
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
