"""Slots: another state of serving takes over whole, drops nothing, and mixes no model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from bentos import metrics
from bentos.batcher import Overloaded
from bentos.predictor import Predictor
from bentos.problems import Problem
from bentos.runtime import ModelRefused, Runtime
from bentos.settings import ServiceSettings, bento_model_dir
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import PROGRAM_FILE
from mlops_assets.contracts.prediction import PredictionRecord, Slot
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from resources.durable import write_bytes
from resources.journal import hours, read_failures
from tests.model_dir import encode, random_image, write_model_dir
from tests.serving import SPEC, journaled

Use = Callable[[Predictor, Path], Awaitable[None]]
IMAGES = [encode(random_image(number, SPEC)) for number in range(8)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Runtime]:
    """Three bentos with models of their own, in a BentoML store."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    runtimes = {}
    for seed, name in enumerate(("one", "two", "three")):
        folder = bento_model_dir(f"classifier:{name}")
        write_model_dir(folder, seed=seed, pixels=SPEC)
        runtimes[f"classifier:{name}"] = Runtime(folder, threads=1)
    return runtimes


def state(revision: int, **tags: tuple[str, float]) -> RolloutState:
    slots: dict[Slot, SlotAssignment] = {
        slot: SlotAssignment(model_version="0" * 64, bento_tag=f"classifier:{tag}", weight=weight)
        for slot, (tag, weight) in tags.items()  # type: ignore[misc]
    }
    return RolloutState(revision=revision, step="canary-10", slots=slots)


def publish(path: Path, value: RolloutState) -> None:
    write_bytes(path, value.model_dump_json().encode())


def run(store: dict[str, Runtime], tmp_path: Path, use: Use, **settings: object) -> None:
    async def body() -> None:
        predictor = Predictor(
            store["classifier:one"], journal_dir=tmp_path / "journal",
            images_dir=tmp_path / "requests", bento_tag="classifier:one",
            settings=ServiceSettings.model_validate(
                {"cache_entries": 0, "max_wait": 60.0, **settings}))
        await use(predictor, tmp_path / "state.json")
        await predictor.close()

    asyncio.run(body())


async def ask(predictor: Predictor, number: int = 0, client: str = "") -> str:
    answered = await predictor.predict(IMAGES[number], started=0.0, client=client)
    return answered.prediction_id


def records(tmp_path: Path) -> dict[str, PredictionRecord]:
    return {each.answer.prediction_id: each for each in journaled(tmp_path / "journal")}


def check(record: PredictionRecord, store: dict[str, Runtime], number: int) -> None:
    """The record's answer is what the model that it names computes."""
    runtime = store[record.bento_tag]
    assert record.answer.model.sha256 == runtime.card.program_sha256
    expected, _ = runtime.predict(random_image(number, SPEC)[None])
    np.testing.assert_allclose(list(record.answer.probabilities.values()), expected[0], atol=1e-5)


def test_weights_and_slots_are_followed(store: dict[str, Runtime], tmp_path: Path) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, champion=("one", 0.75), challenger=("two", 0.25)))
        assert await predictor.slots.look(path)
        clients = [f"client-{number}" for number in range(400)]
        ids = {client: await ask(predictor, client=client) for client in clients}
        again = {client: await ask(predictor, client=client) for client in clients}
        kept = records(tmp_path)
        slots = {client: kept[each].answer.model.slot for client, each in ids.items()}
        assert slots == {client: kept[each].answer.model.slot for client, each in again.items()}
        assert 60 < sum(slot == "challenger" for slot in slots.values()) < 140
        for each in kept.values():
            check(each, store, 0)
            assert (each.revision, each.step) == (1, "canary-10")
            assert each.weight == (0.25 if each.answer.model.slot == "challenger" else 0.75)

    run(store, tmp_path, use)


@pytest.mark.parametrize(("only", "tags", "expected"), [
    ("champion", {"champion": ("one", 1.0), "challenger": ("two", 0.99)}, "champion"),
    ("challenger", {"champion": ("one", 1.0), "challenger": ("two", 0.01)}, "challenger"),
    ("challenger", {"champion": ("one", 1.0)}, "champion"),
    ("champion", {"champion": ("one", 1.0), "shadow": ("two", 1.0)}, "champion"),
])
def test_where_the_edge_routes_one_slot_answers(
    store: dict[str, Runtime], tmp_path: Path, only: str, tags: dict[str, tuple[str, float]],
    expected: str,
) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, **tags))
        await predictor.slots.look(path)
        for client in range(20):
            await ask(predictor, client=str(client))

    run(store, tmp_path, use, slot=only)
    answers = [each for each in records(tmp_path).values() if each.answer.model.slot != "shadow"]
    assert {each.answer.model.slot for each in answers} == {expected}
    # The judgement wants the share of all traffic, not of what came here.
    share = 1.0 if "challenger" not in tags else tags["challenger"][1]
    assert {each.weight for each in answers} == {share if expected == "challenger" else
                                                1.0 if "challenger" not in tags else 1.0 - share}


def test_the_shadow_sees_requests_and_answers_nobody(
    store: dict[str, Runtime], tmp_path: Path
) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, champion=("one", 1.0), shadow=("three", 1.0)))
        await predictor.slots.look(path)
        answered = {await ask(predictor, number) for number in range(8)}
        while len(records(tmp_path)) < 16:
            await asyncio.sleep(0.01)
        kept = records(tmp_path)
        shadows = [each for key, each in kept.items() if key not in answered]
        assert {each.shadow_of for each in shadows} == answered
        for each in shadows:
            assert each.answer.model.slot == "shadow"
            assert each.bento_tag == "classifier:three"

    run(store, tmp_path, use)


def test_a_swap_under_load_drops_and_mixes_nothing(
    store: dict[str, Runtime], tmp_path: Path
) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        asked: list[tuple[str, int]] = []
        done = False

        async def client(number: int) -> None:
            while not done:
                asked.append((await ask(predictor, number % 8, f"client-{number}"), number % 8))

        tasks = [asyncio.create_task(client(number)) for number in range(16)]
        names = ("one", "two", "three")
        for revision in range(1, 13):
            champion, other = names[revision % 3], names[(revision + 1) % 3]
            publish(path, state(revision, champion=(champion, 0.5), challenger=(other, 0.5)))
            assert await predictor.slots.look(path)
            await asyncio.sleep(0.05)
        done = True
        await asyncio.gather(*tasks)
        kept = records(tmp_path)
        assert len(asked) == len(kept) == len({each for each, _ in asked})
        for prediction_id, number in asked:
            check(kept[prediction_id], store, number)
        assert {each.bento_tag for each in kept.values()} == set(store)
        assert {each.revision for each in kept.values()} >= set(range(1, 12))

    run(store, tmp_path, use)


def test_a_model_that_is_refused_changes_nothing(store: dict[str, Runtime], tmp_path: Path) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, champion=("two", 1.0)))
        program = bento_model_dir("classifier:two") / PROGRAM_FILE
        content = program.read_bytes()
        program.write_bytes(content + b" ")
        with pytest.raises(ModelRefused):
            await predictor.slots.look(path)
        assert predictor.slots.table.models["champion"].bento_tag == "classifier:one"
        await ask(predictor)
        program.write_bytes(content)
        assert await predictor.slots.look(path)
        await ask(predictor)
        assert [each.bento_tag for each in records(tmp_path).values()] == [
            "classifier:one", "classifier:two"]

    run(store, tmp_path, use)


def test_a_damaged_state_changes_nothing(store: dict[str, Runtime], tmp_path: Path) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        assert not await predictor.slots.look(path)
        path.write_text("{")
        with pytest.raises(PlatformError, match="materialize `rollout` again"):
            await predictor.slots.look(path)
        await ask(predictor)

    run(store, tmp_path, use)


def test_the_follower_takes_a_state_over_by_itself(
    store: dict[str, Runtime], tmp_path: Path
) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        path.write_text("{")
        predictor.follow()
        for revision, name in enumerate(("two", "three", "one"), start=1):
            publish(path, state(revision, champion=(name, 1.0)))
            async with asyncio.timeout(2):
                while predictor.slots.table.revision != revision:
                    await asyncio.sleep(0.02)
            await ask(predictor)
        assert [each.bento_tag for each in records(tmp_path).values()] == [
            "classifier:two", "classifier:three", "classifier:one"]

    run(store, tmp_path, use, follow=tmp_path / "state.json", follow_seconds=0.1)


def test_a_rollback_needs_no_loading(store: dict[str, Runtime], tmp_path: Path) -> None:
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, champion=("two", 1.0)))
        await predictor.slots.look(path)
        bento_model_dir("classifier:one").rename(tmp_path / "gone")
        publish(path, state(2, champion=("one", 1.0)))
        assert await predictor.slots.look(path)

    run(store, tmp_path, use)


def test_a_shadow_that_is_dropped_is_no_failure_of_its_model(
    store: dict[str, Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits behind those who are answered, so that it is dropped first on a busy machine."""
    async def use(predictor: Predictor, path: Path) -> None:
        publish(path, state(1, champion=("one", 1.0), shadow=("three", 1.0)))
        await predictor.slots.look(path)

        def full(ahead: int = 0) -> None:
            raise Overloaded("full", retry_after=1)

        monkeypatch.setattr(predictor.slots.table.models["shadow"].batcher, "check", full)
        dropped = metrics.SHADOW_FAULTS.labels("overloaded")
        before = dropped._value.get()
        for number in range(4):
            await ask(predictor, number)
        while dropped._value.get() < before + 4:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(predictor.slots.table.models["champion"].batcher, "check", full)
        with pytest.raises(Problem):
            await ask(predictor, 5)

    run(store, tmp_path, use)
    (key,) = hours(tmp_path / "journal")
    assert [(each.slot, each.problem, each.count)
            for each in read_failures(tmp_path / "journal", key)] == [("champion", "overloaded", 1)]
