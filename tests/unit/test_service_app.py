"""The routes in process, with a real model and a real journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import numpy as np
import pytest

from bentos.model import Pixels, decode_to
from bentos.predictor import Predictor
from bentos.runtime import Runtime
from bentos.sessions import ModelRefused
from mlops_assets.contracts.model_card import ModelCard
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.prediction import Answer, PredictionRecord
from resources.journal import hours, read_failures, read_hour
from tests.model_dir import CLASSES, encode, random_image, write_model_dir
from tests.serving import PNG, SPEC, client_of, journaled, refused, serve


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model_dir(folder, pixels=SPEC)
    return Runtime(folder, threads=1)


def test_multipart_and_raw_give_the_models_answer(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        multipart = await client.post("/v1/predict", files={"image": ("a.png", PNG, "image/png")})
        raw = await client.post("/v1/predict", content=PNG, headers={"content-type": "image/png"})
        expected, embedding = runtime.predict(random_image(1, SPEC)[None])
        for response in (multipart, raw):
            assert response.status_code == 200, response.text
            answer = Answer.model_validate(response.json())
            assert list(answer.probabilities) == CLASSES
            np.testing.assert_allclose(list(answer.probabilities.values()), expected[0], atol=1e-6)
            assert answer.label == CLASSES[int(expected[0].argmax())]
            assert answer.model.sha256 == runtime.card.program_sha256
            assert answer.model.slot == "champion"
        records = journaled(tmp_path)
        assert {record.answer.prediction_id for record in records} == {
            multipart.json()["prediction_id"],
            raw.json()["prediction_id"],
        }
        np.testing.assert_allclose(records[0].embedding, embedding[0], rtol=1e-5)
        assert records[0].pixel_mean == pytest.approx(random_image(1, SPEC).mean())
        assert records[0].pixel_std == pytest.approx(random_image(1, SPEC).std())

    serve(runtime, tmp_path, use)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif"])
def test_every_format_is_answered(runtime: Runtime, tmp_path: Path, suffix: str) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        for side in (20, 200):
            image = np.full((side, side + 3, 3), 90, np.uint8)
            content = encode(image, suffix)
            response = await client.post("/v1/predict", files={"image": content})
            assert response.status_code == 200, response.text
            refused_size = await client.post(
                "/v1/predict", files={"image": encode(np.zeros((300, 301, 3), np.uint8), suffix)}
            )
            refused(refused_size, 413, "too-many-pixels")
            assert "301 x 300" in refused_size.json()["detail"]

    serve(runtime, tmp_path, use, max_pixels=300 * 300)


def test_feedback_is_kept_for_known_predictions_and_classes(
    runtime: Runtime, tmp_path: Path
) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        asked = await client.post("/v1/predict", files={"image": PNG})
        prediction_id = asked.json()["prediction_id"]
        looked_up = await client.get(f"/v1/predictions/{prediction_id}")
        assert PredictionRecord.model_validate(looked_up.json()).answer == Answer.model_validate(
            asked.json()
        )
        good = {"prediction_id": prediction_id, "label": "bag"}
        kept = await client.post("/v1/feedback", json=good)
        assert kept.status_code == 200
        (key,) = hours(tmp_path)
        assert [(f.prediction_id, f.label) for f in read_hour(tmp_path, key)[1]] == [
            (prediction_id, "bag")
        ]
        for body, status, kind in (
            (good | {"label": "zebra"}, 422, "unknown-class"),
            (good | {"prediction_id": "0" * 32}, 404, "unknown-prediction"),
            (good | {"more": 1}, 422, "invalid-feedback"),
            ({"label": 3}, 422, "invalid-feedback"),
            ([], 422, "invalid-feedback"),
        ):
            refused(await client.post("/v1/feedback", json=body), status, kind)
        headers = {"content-type": "application/json"}
        broken = await client.post("/v1/feedback", content=b"{", headers=headers)
        refused(broken, 400, "malformed-json")
        refused(await client.post("/v1/feedback", data=good), 415, "unsupported-media-type")

    serve(runtime, tmp_path, use)


def test_one_bad_image_does_not_fail_its_batch(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        images = [encode(random_image(n, SPEC)) for n in range(40)]
        images[7] = images[7][:-25]
        responses = await asyncio.gather(
            *(client.post("/v1/predict", files={"image": image}) for image in images)
        )
        refused(responses[7], 422, "undecodable-image")
        for number, response in enumerate(responses):
            if number != 7:
                expected, _ = runtime.predict(random_image(number, SPEC)[None])
                found = list(response.json()["probabilities"].values())
                np.testing.assert_allclose(found, expected[0], atol=1e-5)
        assert len(journaled(tmp_path)) == 39

    serve(runtime, tmp_path, use)


def test_overload_answers_503_and_says_when_to_come_back(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        responses = await asyncio.gather(
            *(client.post("/v1/predict", files={"image": PNG}) for _ in range(30))
        )
        overloaded = [response for response in responses if response.status_code != 200]
        assert overloaded
        for response in overloaded:
            refused(response, 503, "overloaded")
            assert int(response.headers["retry-after"]) >= 1
        answered = {r.json()["prediction_id"] for r in responses if r.status_code == 200}
        assert {record.answer.prediction_id for record in journaled(tmp_path)} == answered

    serve(runtime, tmp_path, use, max_queue=2, max_batch=1)


def test_what_is_shed_is_not_decoded_before(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counted(card: ModelCard, content: bytes) -> Pixels:
        decoded.append(content)
        return decode_to(card, content)

    monkeypatch.setattr("bentos.predictor.decode_to", counted)
    large = encode(random_image(1, PixelSpec(height=200, width=200, channels=1)))

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        responses = await asyncio.gather(
            *(client.post("/v1/predict", files={"image": large}) for _ in range(30))
        )
        statuses = [response.status_code for response in responses]
        assert set(statuses) == {200, 503}
        assert len(decoded) < 10

    serve(runtime, tmp_path, use, max_queue=2, max_batch=1, lanes=1, cache_entries=0)


def test_no_answer_leaves_without_its_record(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        (tmp_path / "journal").write_text("no folder")
        response = await client.post("/v1/predict", files={"image": PNG})
        refused(response, 503, "journal-unavailable")
        assert response.headers["retry-after"]

    serve(runtime, tmp_path / "journal", use)


def test_without_a_model_the_service_is_not_ready() -> None:
    async def run() -> None:
        async with client_of(None) as client:
            refused(await client.get("/v1/models"), 503, "not-ready")

    asyncio.run(run())


def test_models_and_metrics_tell_what_serves(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        (model,) = (await client.get("/v1/models")).json()["models"]
        assert (model["slot"], model["version"]) == ("champion", runtime.card.version)
        assert model["classes"] == CLASSES
        for number in range(5):
            await client.get(f"/v1/predictions/{number:032x}")
        text = (await client.get("/metrics")).text
        assert 'route="/v1/predictions/{prediction_id}",status="404"' in text
        assert "0" * 20 not in text

    serve(runtime, tmp_path, use)


def test_a_model_that_fails_is_journaled_as_failing(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(client: httpx.AsyncClient, predictor: Predictor) -> None:
        headers = {"content-type": "image/png"}
        # Not the model's fault: what is no image is no failure of a slot.
        cut = await client.post("/v1/predict", content=PNG[:40], headers=headers)
        assert cut.status_code == 422
        monkeypatch.setattr(runtime, "predict", broken)
        refused(await client.post("/v1/predict", content=PNG, headers=headers), 500,
                "internal-server-error")
        version = predictor.slots.table.models["champion"].card.version
        await asyncio.sleep(0.8)
        (key,) = hours(tmp_path)
        (failure,) = read_failures(tmp_path, key)
        assert (failure.slot, failure.problem, failure.revision) == ("champion", "failed", 0)
        assert failure.model_version == version
        assert journaled(tmp_path) == []

    def broken(*_: object, **__: object) -> None:
        raise ModelRefused("out of order")

    serve(runtime, tmp_path, use)
