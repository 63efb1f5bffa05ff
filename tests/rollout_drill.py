"""One rollout over HTTP: clients ask, labels come late, and the real judgement moves the state."""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
import random
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Final

import numpy as np

from bentos.routing import position
from mlops_assets.contracts.rollout import RolloutState, Step
from tests.model_dir import encode
from tests.raw_http import Answer, Wire, connected, read_answer, request
from tests.rollout_platform import Platform
from tests.wrong_bentos import SPEC, Recipe, fails, truth

logger = logging.getLogger("tests.rollout_drill")
# How many clients have a place between the shares of two steps. Those of the first 1 % are busier
# than others: by chance alone the 2,110 answers that a step needs would take 211,000 requests.
PLACES: Final = ((0.0, 0.01, 8), (0.01, 0.1, 2), (0.1, 0.5, 3), (0.5, 1.0, 3))
LABELLERS: Final = 8
REQUESTS_A_SECOND: Final = 25  # of one client
LABELLED: Final = 0.3
REPEATED: Final = 0.2
LATEST_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 1.0
LIMIT_SECONDS: Final = 150.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a prediction; ``failing`` is an image that the newer program can not take."""

    client: str
    status: int
    prediction_id: str
    failing: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A look that moved the state."""

    step: Step
    after: Step
    reason: str


@dataclass
class Labels:
    """Labels on their way: each comes late, some twice, and hardly any in its turn."""

    told: int = 0
    repeated: int = 0
    disordered: int = 0
    refused: list[int] = field(default_factory=list)
    _due: list[tuple[float, str, str]] = field(default_factory=list)
    _newest: str = ""

    def plan(self, chance: random.Random, prediction_id: str, label: str) -> None:
        """Let the label of a prediction come later, or not at all."""
        if chance.random() >= LABELLED:
            return
        again = chance.random() < REPEATED
        self.repeated += again
        for _ in range(1 + again):
            due = time.monotonic() + chance.uniform(0, LATEST_SECONDS)
            heapq.heappush(self._due, (due, prediction_id, label))

    async def post_next(self, wire: Wire) -> None:
        """Post what is due; else wait a little."""
        if not self._due or self._due[0][0] > time.monotonic():
            await asyncio.sleep(0.01)
            return
        _, prediction_id, label = heapq.heappop(self._due)
        self.disordered += prediction_id < self._newest
        self._newest = max(self._newest, prediction_id)
        body = json.dumps({"prediction_id": prediction_id, "label": label}).encode()
        answer = await ask(wire, request("/v1/feedback", body, "content-type: application/json"))
        self.told += 1
        if answer.status != 200:
            self.refused.append(answer.status)


@dataclass
class Drill:
    """Traffic, labels and changes of one rollout.

    ``recipe`` is the newer model's. ``judges`` is another process, as a run of the graph is.
    """

    platform: Platform
    recipe: Recipe
    judges: ProcessPoolExecutor
    asked: list[Asked] = field(default_factory=list)
    labels: Labels = field(default_factory=Labels)
    changes: list[Change] = field(default_factory=list)
    _over: bool = False

    async def run(self, bento_tag: str) -> RolloutState:
        """Ask and label until the rollout has ended and the service serves what came of it."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            # Until then the step before answers, and what it fails counts for its own revision.
            await self._heard(self.platform.state())
            for client in clients(bento_tag):
                wire = await stack.enter_async_context(connected(self.platform.port))
                chance = random.Random(f"{bento_tag} {client}")
                group.create_task(self._predict(wire, client, chance))
            for _ in range(LABELLERS):
                wire = await stack.enter_async_context(connected(self.platform.port))
                group.create_task(self._label(wire))
            state = await self._judge()
            await self._heard(state)
            # Failures are journaled half a second after the first.
            await asyncio.sleep(1.0)
            self._over = True
        return state

    async def _predict(self, wire: Wire, client: str, chance: random.Random) -> None:
        noise = np.random.default_rng(chance.getrandbits(64))
        turn = time.monotonic()
        while not self._over:
            turn = max(turn + 1 / REQUESTS_A_SECOND, time.monotonic())
            await asyncio.sleep(turn - time.monotonic())
            image = noise.integers(0, 256, SPEC.shape, dtype=np.uint8)
            answer = await ask(wire, request("/v1/predict", encode(image),
                                             "content-type: image/png", f"x-client-id: {client}"))
            told = str(json.loads(answer.body).get("prediction_id", ""))
            self.asked.append(Asked(client, answer.status, told, fails(self.recipe, image)))
            if told:
                self.labels.plan(chance, told, truth(image))

    async def _label(self, wire: Wire) -> None:
        while not self._over:
            await self.labels.post_next(wire)

    async def _judge(self) -> RolloutState:
        began, state = time.monotonic(), self.platform.state()
        while state.step != "idle":
            await asyncio.sleep(LOOK_SECONDS)
            found, state = await asyncio.get_running_loop().run_in_executor(
                self.judges, self.platform.judge)
            assert found.judgement is not None
            seconds, reason = time.monotonic() - began, found.judgement.reason
            if state != found.state:
                self.changes.append(Change(found.state.step, state.step, reason))
                logger.info(
                    "%.1f s, %d asked, %d labels: %s, then %s; %s", seconds, len(self.asked),
                    self.labels.told, found.state.step, state.step, found.judgement.findings)
            assert state.step == "idle" or seconds < LIMIT_SECONDS, (
                f"no verdict on {state.step}: {reason}")
        return state

    async def _heard(self, state: RolloutState) -> None:
        """Return when the service routes by a state."""
        # On a connection of its own: one that rests through a rollout is closed meanwhile.
        async with connected(self.platform.port) as wire, asyncio.timeout(30):
            while True:
                models = json.loads((await ask(wire, request("/v1/models", method="GET"))).body)
                if models["revision"] == state.revision:
                    break
                await asyncio.sleep(0.2)
        assert {each["slot"]: each["bento_tag"] for each in models["models"]} == {
            slot: each.bento_tag for slot, each in state.slots.items()}


async def ask(wire: Wire, content: bytes) -> Answer:
    """The response to one request on a connection that stays open."""
    reader, writer = wire
    writer.write(content)
    answer = await read_answer(reader)
    assert answer is not None, "the server hung up"
    return answer


def place(client: str, bento_tag: str) -> float:
    """The share of traffic from which on a challenger answers a client."""
    return position(f"anonymous/{client}", bento_tag)


def clients(bento_tag: str) -> list[str]:
    """Names of clients by ``PLACES``."""
    found: list[str] = []
    for low, high, wanted in PLACES:
        names = (f"client-{number}" for number in count())
        found += islice((name for name in names if low <= place(name, bento_tag) < high), wanted)
    return found
