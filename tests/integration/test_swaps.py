"""Slots over HTTP: ten swaps under load drop no request, and every answer can be computed again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bentos.runtime import Runtime
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.releases.bento import build_bento
from resources.durable import write_bytes
from resources.journal import hours, read_hour
from tests.model_dir import encode, random_image, write_model_dir
from tests.running import Running, serving

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SPEC = PixelSpec(height=28, width=28, channels=1)
REQUESTS, CLIENTS, SWAPS = 10_000, 64, 10
IMAGES = [random_image(number, SPEC) for number in range(50)]
BODIES = [encode(image) for image in IMAGES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("swaps")


@pytest.fixture(scope="module")
def runtimes(folder: Path) -> dict[str, Runtime]:
    """Three released bentos, by tag."""
    found = {}
    for seed in range(3):
        model = folder / f"model-{seed}"
        write_model_dir(model, seed=seed, pixels=SPEC)
        tag = build_bento(model, bentoml_home=folder / ".home", project_root=ROOT).tag
        found[tag] = Runtime(model, threads=1)
    return found


@pytest.fixture(scope="module")
def service(folder: Path, runtimes: dict[str, Runtime]) -> Iterator[Running]:
    """Two workers that follow a state of serving."""
    variables = {"MLOPS_SERVICE_FOLLOW": str(folder / "state.json"), "MLOPS_SERVICE_WORKERS": "2",
                 "MLOPS_SERVICE_MAX_WAIT": "30"}
    with serving(next(iter(runtimes)), folder / ".home", folder / "run", **variables) as running:
        yield running


def state_of(runtimes: dict[str, Runtime], revision: int) -> RolloutState:
    """What is published as a revision."""
    tags = [*runtimes] * 2
    champion, other = tags[revision % 3], tags[revision % 3 + 1]
    weight = (0.0, 0.1, 0.5, 1.0)[revision % 4]
    slots = {
        slot: SlotAssignment(bento_tag=tag, model_version=runtimes[tag].card.version, weight=share)
        for slot, tag, share in (("champion", champion, 1.0), ("challenger", other, weight))
    }
    return RolloutState.model_validate({"revision": revision, "slots": slots})


def publish(folder: Path, runtimes: dict[str, Runtime], revision: int) -> None:
    state = state_of(runtimes, revision)
    write_bytes(folder / "state.json", state.model_dump_json().encode())


async def load(url: str, published: asyncio.Event) -> list[tuple[int, httpx.Response]]:
    """Every request of every client, with the number of its image."""
    found: list[tuple[int, httpx.Response]] = []
    limits = httpx.Limits(max_connections=CLIENTS)
    numbers = iter(range(10 * REQUESTS))
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:

        async def ask(name: int) -> None:
            headers = {"content-type": "image/png", "x-client-id": f"client-{name}"}
            while len(found) < REQUESTS or not published.is_set():
                image = next(numbers) % len(BODIES)
                answer = await client.post("/v1/predict", content=BODIES[image], headers=headers)
                found.append((image, answer))

        await asyncio.gather(*(ask(name) for name in range(CLIENTS)))
    return found


@pytest.fixture(scope="module")
def found(
    folder: Path, service: Running, runtimes: dict[str, Runtime]
) -> list[tuple[int, httpx.Response]]:
    """Answers, each with the number of its image, that were given while slots were swapped."""
    async def swap(published: asyncio.Event) -> None:
        for revision in range(1, SWAPS + 1):
            publish(folder, runtimes, revision)
            await asyncio.sleep(1.0)
        published.set()

    async def run() -> list[tuple[int, httpx.Response]]:
        published = asyncio.Event()
        swaps = asyncio.create_task(swap(published))
        found = await load(str(service.client.base_url), published)
        await swaps
        return found

    return asyncio.run(run())


def test_ten_swaps_under_load(
    found: list[tuple[int, httpx.Response]], service: Running, runtimes: dict[str, Runtime]
) -> None:
    assert len(found) >= REQUESTS
    assert {answer.status_code for _, answer in found} == {200}
    by_program = {runtime.card.program_sha256: runtime for runtime in runtimes.values()}
    expected = {sha: runtime.predict(np.stack(IMAGES))[0] for sha, runtime in by_program.items()}
    seen = set()
    for image, answer in found:
        body = answer.json()
        sha = body["model"]["sha256"]
        seen.add((sha, body["model"]["slot"]))
        np.testing.assert_allclose(
            list(body["probabilities"].values()), expected[sha][image], atol=1e-5)
    assert {sha for sha, _ in seen} == set(by_program)
    records = {record.answer.prediction_id: record for key in hours(service.journal)
               for record in read_hour(service.journal, key)[0]}
    assert len(records) >= len(found)
    for _, answer in found:
        body = answer.json()
        record = records[body["prediction_id"]]
        assert record.answer.model.sha256 == body["model"]["sha256"]
        assert runtimes[record.bento_tag].card.program_sha256 == body["model"]["sha256"]


async def read_receipts(url: str, ids: list[str]) -> list[dict[str, Any]]:
    """Receipts of predictions, many at a time, in the order of their ids."""
    turn = asyncio.Semaphore(32)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def read(prediction_id: str) -> dict[str, Any]:
            async with turn:
                answer = await client.get(f"/v1/predictions/{prediction_id}/receipt")
            assert answer.status_code == 200, answer.text
            body: dict[str, Any] = answer.json()
            return body

        return await asyncio.gather(*(read(each) for each in ids))


def test_a_thousand_receipts_over_ten_swaps_name_the_model_that_computed(
    found: list[tuple[int, httpx.Response]], service: Running, runtimes: dict[str, Runtime]
) -> None:
    chosen = found[:: max(1, len(found) // 1000)][:1000]
    bodies = [answer.json() for _, answer in chosen]
    receipts = asyncio.run(read_receipts(
        str(service.client.base_url), [body["prediction_id"] for body in bodies]))
    expected = {tag: runtime.predict(np.stack(IMAGES))[0] for tag, runtime in runtimes.items()}
    for (image, _), body, receipt in zip(chosen, bodies, receipts, strict=True):
        assert receipt["answer"] == body
        assert receipt["image_sha256"] == sha256_bytes(BODIES[image])
        card = runtimes[receipt["bento_tag"]].card
        assert receipt["program_sha256"] == card.program_sha256 == body["model"]["sha256"]
        assert receipt["origin"] == card.origin.model_dump()
        np.testing.assert_allclose(
            list(body["probabilities"].values()), expected[receipt["bento_tag"]][image], atol=1e-5)
        state = state_of(runtimes, receipt["revision"]) if receipt["revision"] else None
        if state is not None:
            slot = state.slots[body["model"]["slot"]]
            assert slot.bento_tag == receipt["bento_tag"]
            share = state.slots["challenger"].weight
            assert receipt["weight"] == pytest.approx(
                share if body["model"]["slot"] == "challenger" else 1 - share)
    assert len(receipts) == 1000
    assert len({receipt["revision"] for receipt in receipts}) > SWAPS / 2


def test_every_worker_follows_within_two_seconds(
    folder: Path, service: Running, runtimes: dict[str, Runtime]
) -> None:
    publish(folder, runtimes, 100)
    time.sleep(2.0)
    told = set()
    for _ in range(40):  # connections of their own, so that both workers are asked
        answer = httpx.get(f"{service.client.base_url}/v1/models")
        told.add(answer.json()["revision"])
    assert told == {100}


def test_a_receipt_names_the_model_that_answered(
    service: Running, runtimes: dict[str, Runtime]
) -> None:
    answer = service.client.post(
        "/v1/predict", content=BODIES[0], headers={"content-type": "image/png"}).json()
    receipt = service.client.get(f"/v1/predictions/{answer['prediction_id']}/receipt").json()
    assert receipt["answer"]["prediction_id"] == answer["prediction_id"]
    assert receipt["program_sha256"] == answer["model"]["sha256"]
    assert runtimes[receipt["bento_tag"]].card.origin.model_dump() == receipt["origin"]


def test_metrics_count_the_requests_of_all_workers(service: Running) -> None:
    records = [record for key in hours(service.journal)
               for record in read_hour(service.journal, key)[0]]
    counted = {"champion": 0, "challenger": 0}
    for family in text_string_to_metric_families(service.client.get("/metrics").text):
        if family.name == "mlops_predictions":
            for sample in family.samples:
                if sample.name == "mlops_predictions_total":
                    counted[sample.labels["slot"]] += int(sample.value)
    told = Counter(record.answer.model.slot for record in records)
    assert counted == {slot: told[slot] for slot in counted}
    assert len({path.name.split("-")[1] for path in service.journal.glob("*/*.jsonl")}) == 2
