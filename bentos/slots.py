"""The models that a process holds, by slot, and how another state of serving takes their place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bentos import metrics
from bentos.model import Route, ServedModel
from bentos.routing import goes_to_challenger
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.prediction import Slot
from mlops_assets.contracts.rollout import LADDER, RolloutState, SlotAssignment, read_state

logger = logging.getLogger("bentos.slots")
Load = Callable[[SlotAssignment], ServedModel]
Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SlotTable:
    """One state of serving with its loaded models; never changed, only replaced."""

    models: Mapping[Slot, ServedModel]
    weights: Mapping[Slot, float]
    step: str = "idle"
    revision: int = 0
    only: Slot | None = None

    def choose(self, client: str) -> Route:
        """The slot that answers ``client``; with ``only`` the edge has chosen already."""
        if self.only is not None:
            return self.route(self.only if self.only in self.models else "champion")
        challenger = self.models.get("challenger")
        if challenger is not None and goes_to_challenger(
            client, weight=self.weights["challenger"], salt=challenger.bento_tag
        ):
            return self.route("challenger")
        return self.route("champion")

    @property
    def judging(self) -> bool:
        """Whether a newer model is compared with the champion."""
        return self.step in LADDER

    def route(self, slot: Slot) -> Route:
        """What a request is told of the slot that takes it."""
        return Route(slot, self.share(slot), self.step, self.revision)

    def share(self, slot: Slot) -> float:
        """Share of the traffic that a slot answers, 0 to 1."""
        if slot == "champion" and "challenger" in self.models:
            return 1.0 - min(1.0, self.weights["challenger"])
        return min(1.0, self.weights[slot])


@dataclass(slots=True)
class Slots:
    """Holds the present table and follows the state's file.

    A model is loaded, warmed and checked off the loop before the reference moves; requests that
    were routed before are answered by the model that they were routed to. The champion that was
    replaced stays loaded, so that a rollback needs no loading.
    """

    table: SlotTable
    load: Load
    _mark: Mark | None = None
    _spare: ServedModel | None = None
    _retired: set[asyncio.Task[None]] = field(default_factory=set)

    async def follow(self, path: Path, *, seconds: float) -> None:
        """Look at the file for ever; what can not be loaded is logged, and what serves goes on."""
        while True:
            try:
                await self.look(path)
            except PlatformError:
                metrics.SLOT_FAULTS.inc()
                logger.exception("The state of serving in %s does not take effect", path)
            await asyncio.sleep(seconds)

    async def look(self, path: Path) -> bool:
        """Take over the state in ``path`` if it is another one; whether it was.

        Raises:
            PlatformError: the file is damaged, or a model of it is refused; nothing changes, and
                the next look tries again.
        """
        mark = _mark(path)
        if mark is None or mark == self._mark:
            return False
        state = read_state(path)
        self._mark = mark
        if state.revision == self.table.revision or "champion" not in state.slots:
            return False
        try:
            await self.take_over(state)
        except PlatformError:
            self._mark = None
            raise
        return True

    async def take_over(self, state: RolloutState) -> None:
        """Load what is new, then serve ``state``, then let what it does not name go.

        Raises:
            PlatformError: a model is refused; nothing changes.
        """
        held = {model.bento_tag: model for model in self.models()}
        models: dict[Slot, ServedModel] = {}
        for slot, assignment in state.slots.items():
            if assignment.bento_tag not in held:
                held[assignment.bento_tag] = await asyncio.to_thread(self.load, assignment)
            models[slot] = held[assignment.bento_tag]
        before = self.table.models["champion"]
        self.table = SlotTable(
            models=models, weights={slot: each.weight for slot, each in state.slots.items()},
            step=state.step, revision=state.revision, only=self.table.only,
        )
        if before is not models["champion"]:
            self._spare = before
        used = {model.bento_tag for model in self.models()}
        for tag, model in held.items():
            if tag not in used:
                self._retire(model)
        metrics.show_slots(self.table)
        logger.info("Revision %d serves %s", state.revision, ", ".join(
            f"{slot} {model.bento_tag}" for slot, model in sorted(models.items())))

    def models(self) -> list[ServedModel]:
        """Every loaded model, once."""
        spare = [] if self._spare is None else [self._spare]
        every = {model.bento_tag: model for model in (*self.table.models.values(), *spare)}
        return list(every.values())

    def _retire(self, model: ServedModel) -> None:
        task = asyncio.get_running_loop().create_task(model.close(finish=True))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def close(self) -> None:
        """Stop every model, finishing what runs."""
        await asyncio.gather(*self._retired)
        for model in self.models():
            await model.close()


def _mark(path: Path) -> Mark | None:
    """What changes when the file is replaced; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
