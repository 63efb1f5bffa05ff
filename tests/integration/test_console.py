"""The console over a real platform home: what it shows, changes, and says when a source is dead."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from mlops_assets.provenance.hashing import sha256_bytes
from resources.platform_db import PlatformDatabase
from tests.console import add_challenger, change, running_console, serving_console
from tests.small_platform import SmallPlatform
from tests.stand_in_service import Service, running_service
from ui.server.settings import Addresses


@pytest.fixture(scope="module")
def client(small_platform: SmallPlatform) -> Iterator[TestClient]:
    with running_console(small_platform.home) as console:
        yield console


@pytest.fixture
def copied(small_platform: SmallPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home that a test may change."""
    home = tmp_path / "copy"
    shutil.copytree(small_platform.home, home, symlinks=True)
    monkeypatch.setenv("PLATFORM_HOME", str(home))
    return home


def get(client: TestClient, path: str) -> Any:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_overview_says_what_serves_and_names_every_source(client: TestClient) -> None:
    loop = get(client, "loop?range=14d")
    assert "".join(part["text"] for part in loop["headline"]) == "v1 answers all traffic."
    assert [stage["key"] for stage in loop["stages"]] == [
        "data", "model", "service", "drift", "retrain"]
    sources = {each["name"]: each for each in loop["sources"]}
    assert sources["Artifact store"]["ok"]
    assert sources["Journal"]["ok"]
    assert not sources["Dagster"]["configured"]
    assert sum(point["rates"].get("v1", 0) for point in loop["traffic"]["points"]) >= 0


def test_models_and_answers_lead_to_each_other(
    client: TestClient, small_platform: SmallPlatform
) -> None:
    (row,) = get(client, "models")
    assert (row["label"], row["slot"]) == ("v1", "champion")
    detail = get(client, f"models/{row['version']}")
    assert detail["dataset"] == small_platform.card.origin.dataset
    assert client.get("/api/v1/models/v9").status_code == 404
    found = get(client, "predictions?label=bag")
    ids = [each.answer.prediction_id for each in small_platform.predictions]
    assert sorted(each["id"] for each in found["rows"]) == sorted(ids)
    assert get(client, "predictions?max_confidence=0.5")["rows"] == []
    for asked in (ids[0][:20], "bag", "anonymous", "v1", row["version"][:12]):
        rows = get(client, f"predictions?q={asked}")["rows"]
        assert ids[0] in {each["id"] for each in rows}, asked
    assert get(client, "predictions?q=nobody")["rows"] == []
    newest, oldest = (get(client, "predictions?limit=1"), sorted(ids)[0])
    assert [each["id"] for each in get(
        client, f"predictions?limit=1&before={newest['older']}")["rows"]] == [oldest]
    one = get(client, f"predictions/{ids[0]}")
    assert one["receipt"]
    assert one["origin"]["dataset"] == small_platform.card.origin.dataset
    assert all(near["proven"] for near in one["nearest"])


def test_the_lineage_of_an_answer_reaches_its_raw_bytes(
    client: TestClient, small_platform: SmallPlatform
) -> None:
    prediction = small_platform.predictions[0].answer.prediction_id
    graph = get(client, f"lineage/{prediction}")
    nodes = {node["id"]: node for node in graph["nodes"]}
    reached, level = set(), [prediction]
    while level:
        reached |= set(level)
        level = [edge["source"] for edge in graph["edges"]
                 if edge["target"] in level and edge["source"] not in reached]
    assert {nodes[key]["title"].split(" ")[0] for key in reached} >= {
        "raw_images", "dataset", "trained_model", "exported_model", "model_bento"}
    assert all(edge["source"] in nodes and edge["target"] in nodes for edge in graph["edges"])
    assert graph["receipt"]["image_sha256"] == graph["image"]
    whole = client.post(f"/api/v1/verify/{prediction}").json()
    assert whole["whole"], whole
    assert {line["what"] for line in whole["lines"]} >= {"raw_images", "journal", "predictions"}
    assert client.get("/api/v1/lineage/0123456789").status_code == 404


def test_the_lineage_of_an_image_and_of_an_artifact(
    client: TestClient, small_platform: SmallPlatform
) -> None:
    image = sha256_bytes(small_platform.images[0])
    seen = get(client, f"lineage/{image}")
    kinds = [node["title"] for node in seen["nodes"]]
    assert {"this image", "raw_images", "dataset"} <= set(kinds)
    answer = client.get(f"/api/v1/images/{image}")
    assert answer.headers["content-type"] == "image/png"
    assert sha256_bytes(answer.content) == image
    assert client.get("/api/v1/images/" + "0" * 64).status_code == 404
    dataset = get(client, f"lineage/{small_platform.card.origin.dataset}")
    ranks = {node["title"]: node["rank"] for node in dataset["nodes"]}
    assert ranks["dataset"] == 0
    assert ranks["validated_images"] < 0 < ranks["trained_model"]


def test_a_dead_source_names_itself_and_the_page_lives(small_platform: SmallPlatform) -> None:
    dead = Addresses(dagster="http://127.0.0.1:9", service="http://127.0.0.1:9")
    with running_console(small_platform.home, addresses=dead) as client:
        loop = get(client, "loop")
        problems = {each["name"]: each["detail"] for each in loop["sources"] if not each["ok"]}
        assert "does not answer" in problems["Dagster"]
        assert "does not answer" in problems["Service"]
        assert {"Dagster does not answer", "Service does not answer"} <= {
            need["title"] for need in loop["needs"]}
        assert loop["rollout"]["slots"][0]["label"] == "v1"
        answer = change(client, "launch", {"job": "retrain", "reason": "to see", "seen": ""})
        assert answer.status_code == 404


def test_a_stop_names_what_it_rests_on_and_says_what_is_not_known(
    small_platform: SmallPlatform,
) -> None:
    dead = Addresses(dagster="http://127.0.0.1:9", mlflow="http://127.0.0.1:9")
    with running_console(small_platform.home, addresses=dead) as client:
        loop = get(client, "loop")
        stops = {stage["key"]: stage for stage in loop["stages"]}
        silent = {each["name"] for each in loop["sources"] if each["configured"] and not each["ok"]}
        assert silent == {"Dagster", "MLflow"}
        assert {key: silent & set(stop["rests"]) for key, stop in stops.items()} == {
            "data": {"Dagster"}, "model": {"MLflow"}, "service": set(), "drift": set(),
            "retrain": {"Dagster"}}
        assert {"Service", "Prometheus"} <= set(stops["service"]["rests"])
        assert {name for stop in stops.values() for name in stop["rests"]} <= {
            each["name"] for each in loop["sources"]}
        assert stops["data"]["status"] == "Freshness not known"
        assert stops["retrain"]["status"] == "Not known"
        values = {fact["label"]: fact["value"] for key in ("data", "retrain")
                  for fact in stops[key]["facts"]}
        assert values["Checks"] == values["By drift, 24 h"] == "not known"


def test_a_change_has_a_reason_a_revision_and_one_effect(
    copied: Path, small_platform: SmallPlatform
) -> None:
    waiting = add_challenger(copied)
    revision = waiting.revision
    assert waiting.slots["challenger"].bento_tag != small_platform.tag
    with running_console(copied) as client:
        seen = get(client, "rollout")
        assert seen["may"] == ["promote", "advance", "rollback"]
        assert {each["slot"]: each["weight"] for each in seen["slots"]} == {
            "champion": 1.0, "challenger": 0.0}
        body = {"reason": "better on coats", "revision": revision}
        stale = change(client, "rollout/promote", {**body, "revision": revision - 1})
        assert stale.status_code == 409
        assert "you saw" in stale.json()["detail"]
        assert change(client, "rollout/promote", {**body, "reason": ""}).status_code == 422
        first = change(client, "rollout/promote", body, key="the-same-key")
        assert first.status_code == 200, first.text
        again = change(client, "rollout/promote", body, key="the-same-key")
        assert again.json()["revision"] == first.json()["revision"] == revision + 1
        assert change(client, "rollout/hold", body, key="the-same-key").status_code == 422
        entries = get(client, "audit")["entries"]
        assert [each["action"] for each in entries][:2] == ["promote", "release"]
        assert entries[0]["reason"] == "better on coats"
        assert entries[0]["effect"] == "bbbbbbbb serves"
        assert entries[0]["details"]["by"] == "console"
    with running_console(copied) as client:
        after = change(client, "rollout/promote", body, key="the-same-key")
        assert after.json()["revision"] == revision + 1
        assert change(client, "rollout/hold", body, key="the-same-key").status_code == 422
        back = change(client, "rollout/rollback",
                      {"reason": "worse after all", "revision": revision + 1})
        assert back.json()["slots"][0]["bento_tag"] == small_platform.tag


def test_keys_are_made_shown_once_and_revoked(copied: Path) -> None:
    with running_console(copied) as client:
        body = {"name": "till", "scopes": ["predict"], "days": 1, "reason": "the new till",
                "seen": get(client, "keys")["version"]}
        made = change(client, "keys", body, key="one-key-once").json()
        assert made["secret"]
        assert change(client, "keys", body, key="one-key-once").json()["secret"] == ""
        assert change(client, "keys", body).status_code == 409, "the list is another by now"
        (key,) = get(client, "keys")["keys"]
        assert key["scopes"] == ["predict"]
        gone = change(client, f"keys/{key['id']}/revoke", {"reason": "lost", "seen": "good"})
        assert gone.status_code == 200
        assert get(client, "keys")["keys"][0]["revoked"]
        for seen, status in (("good", 409), ("revoked", 422)):
            again = {"reason": "again", "seen": seen}
            assert change(client, f"keys/{key['id']}/revoke", again).status_code == status
        assert change(client, "keys/none/revoke", again).status_code == 404


def test_a_label_reaches_the_service_and_is_audited(
    copied: Path, small_platform: SmallPlatform
) -> None:
    prediction = small_platform.predictions[0].answer.prediction_id
    with running_service() as address, running_console(
            copied, addresses=Addresses(service=address)) as client:
        wrong = change(client, "labels", {"prediction_id": prediction, "label": "no class"})
        assert wrong.status_code == 422
        done = change(client, "labels", {"prediction_id": prediction, "label": "coat"})
        assert done.json()["message"] == "labelled coat"
        assert Service.labels == [{"prediction_id": prediction, "label": "coat"}]
        assert get(client, "audit")["entries"][0]["action"] in ("label", "release")


def test_a_broken_audit_log_is_said_on_the_page(copied: Path) -> None:
    from sqlalchemy import text

    with closing(PlatformDatabase(copied)) as database, database.engine.begin() as connection:
        connection.execute(text("UPDATE audit_log SET reason = 'something else'"))
    with running_console(copied) as client:
        audit = get(client, "audit")
        assert not audit["whole"]
        assert "chain" in audit["problem"]
        assert get(client, "loop")["needs"][0]["title"] == (
            "The audit log is not what was written")


def test_alerts_come_by_the_webhook_and_stay(copied: Path) -> None:
    told = {"status": "firing", "labels": {"alertname": "ServiceDown", "severity": "critical"},
            "annotations": {"summary": "down", "runbook_url": "docs/runbooks/service-down.md"},
            "startsAt": "2026-11-27T04:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "f00d"}
    over = {**told, "status": "resolved", "endsAt": "2026-11-27T04:05:00Z"}
    (copied / "run").mkdir(exist_ok=True)
    (copied / "run" / "alert-token").write_text("the-token\n")
    with running_console(copied) as client:
        def tell(body: Any, token: str) -> int:
            return client.post("/api/v1/alerts/webhook", json=body,
                               headers={"authorization": f"Bearer {token}"}).status_code

        assert tell({"alerts": [told]}, "another") == 401
        assert tell({"alerts": "no"}, "the-token") == 422
        assert tell({"alerts": [told]}, "the-token") == 200
        assert tell({"alerts": [over]}, "the-token") == 200
    with running_console(copied) as client:
        (alert,) = get(client, "alerts")["alerts"]
        assert (alert["name"], alert["state"]) == ("ServiceDown", "resolved")
        assert alert["ended_at"] == "2026-11-27T04:05:00Z"


def test_metrics_tell_of_the_loop(client: TestClient) -> None:
    text = client.get("/metrics").text
    assert 'mlops_source_up{source="Artifact store"} 1.0' in text
    assert 'mlops_rollout_step{step="idle"} 1.0' in text
    assert "mlops_disk_free_bytes" in text
    assert "mlops_gpu_count " in text


def test_find_leads_to_pages_models_and_answers(
    client: TestClient, small_platform: SmallPlatform
) -> None:
    prediction = small_platform.predictions[0].answer.prediction_id
    assert get(client, "find?q=dri")[0] == {"text": "Drift", "href": "/drift"}
    assert get(client, f"find?q={prediction[:14]}")[0]["href"].startswith("/lineage/")
    assert any(each["text"].startswith("Model v1") for each in get(client, "find?q=v1"))


def test_an_alert_leads_to_its_runbook(client: TestClient) -> None:
    from ui.server.runbooks import runbook_address

    where = runbook_address("docs/runbooks/service-down.md")
    assert where == "/runbooks/service-down"
    answer = client.get(where)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("# ")
    assert runbook_address("https://wiki.example/x.md") == "https://wiki.example/x.md"
    for path in ("/runbooks/none", "/runbooks/README"):
        assert client.get(path).status_code == 404
    # This is a page of the console's own, as every other path.
    assert client.get("/runbooks/..%2f..%2fREADME").text.startswith("<!doctype html>")


def test_a_page_that_listens_hears_of_a_change(copied: Path) -> None:
    with serving_console(copied) as address, httpx.Client(base_url=address, timeout=20) as pages, \
            pages.stream("GET", "/api/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = (line for line in answer.iter_lines() if line.startswith("event:"))
        assert next(events) == "event: loop"
        add_challenger(copied)
        assert next(events) == "event: loop"
