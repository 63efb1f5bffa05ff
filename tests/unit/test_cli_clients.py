"""Clients of Dagster and of the service: what they send, and how failures are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlops_assets.cli.runs import RunFollower, RunReport
from mlops_assets.cli.traffic import Traffic, sample_images, send_labels, send_traffic
from mlops_assets.provenance.record import InputRef
from resources.dagster_api import DagsterApi, DagsterError, to_event
from resources.service_api import ServiceApi, ServiceError
from resources.store import ArtifactStore, MissingArtifact
from tests.stand_in_service import Service, running_service


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "boot.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((28, 28), np.uint8))[1].tobytes())
    return path


@pytest.fixture
def service() -> Iterator[str]:
    with running_service() as url:
        yield url


def test_refusal_of_the_service_is_said(service: str) -> None:
    with closing(ServiceApi(service)) as api, pytest.raises(ServiceError, match="415: send a PNG"):
        api.predict(b"\xff\xd8\xff rest")


def test_what_is_refused_for_now_is_asked_again(png: Path, service: str) -> None:
    with closing(ServiceApi(service)) as api:
        Service.refuses = 2
        assert api.predict(png.read_bytes()).label == "Bag"
        Service.refuses = 9
        with pytest.raises(ServiceError, match="503: too many wait"):
            api.predict(png.read_bytes())
        assert Service.refuses == 5


def test_traffic_comes_with_labels_and_hours(png: Path, service: str) -> None:
    from mlops_assets.cli.traffic import LabelledImage

    images = [LabelledImage(png.read_bytes(), label) for label in ("Bag", "Coat", "Bag", "Bag")]
    with closing(ServiceApi(service)) as api:
        traffic = send_traffic(api, images)
        send_labels(api, traffic)
    assert traffic.accuracy == 0.75
    assert sorted(each["label"] for each in Service.labels) == ["Bag", "Bag", "Bag", "Coat"]


def test_hours_cover_the_turn_of_an_hour() -> None:
    from datetime import UTC, datetime

    began, ended = datetime(2026, 1, 1, 23, 59, tzinfo=UTC), datetime(2026, 1, 2, 0, 1, tzinfo=UTC)
    assert Traffic((), (), began, ended).hours == ["2026-01-01-23:00", "2026-01-02-00:00"]


def test_sample_prefers_the_official_test_part(tmp_path: Path) -> None:
    from mlops_assets.raw.snapshot import write_snapshot
    from mlops_assets.raw.sources import RawImage

    version = "a" * 64
    folder = tmp_path / "store" / "raw_images" / version
    folder.mkdir(parents=True)
    parts = ["train"] * 30 + ["test"] * 20
    write_snapshot(folder, [
        RawImage(f"{index}.png", f"class {index % 2}", part, f"{part} {index}".encode())
        for index, part in enumerate(parts)
    ], ("class 0", "class 1"))
    reference = InputRef(asset="raw_images", partition="initial", version=version)
    ArtifactStore(tmp_path / "store").set_current(reference)
    images = sample_images(tmp_path, "initial", 5)
    assert [image.content for image in images] == [b"test 30", b"test 34", b"test 38", b"test 42",
                                                   b"test 46"]
    assert len(sample_images(tmp_path, "initial", 100)) == 20


def test_no_snapshot_no_traffic(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="not materialized yet"):
        sample_images(tmp_path, "initial", 10)


def test_dagster_that_does_not_answer_is_one_clear_error() -> None:
    with (
        closing(DagsterApi("http://127.0.0.1:1")) as api,
        pytest.raises(DagsterError, match="does not answer on http"),
    ):
        api.launch("materialize_all", "initial")


def test_step_failure_is_told_by_its_innermost_cause() -> None:
    follower = RunFollower(lambda line: None, RunReport("r"))
    error = {
        "className": "DagsterExecutionStepExecutionError", "message": "Error occurred\n",
        "errorChain": [{"error": {"className": "BadKey", "message": "ConfigError: bad key\n"}}],
    }
    event = to_event({
        "__typename": "ExecutionStepFailureEvent", "message": "step failed", "stepKey": "dataset",
        "timestamp": "1000", "error": error, "failureMetadata": None,
    })
    assert follower.take(event) is None
    assert follower.failures == ["step `dataset` failed: ConfigError: bad key"]
    assert follower.take(to_event({"__typename": "RunFailureEvent"})) is False


def test_run_that_never_began_a_step_is_told_by_the_engine() -> None:
    follower = RunFollower(lambda line: None, RunReport("r"))
    error = {"className": "ImportError", "message": "no module `x`\n", "errorChain": []}
    follower.take(to_event({"__typename": "EngineEvent", "message": "no job", "error": error}))
    ended = to_event({"__typename": "RunFailureEvent", "message": "marked as failed"})
    assert follower.take(ended) is False
    assert follower.failures == ["no module `x`"]


def test_assets_and_epochs_are_shown() -> None:
    lines: list[str] = []
    follower = RunFollower(lines.append, RunReport("r"))
    for raw in (
        {"__typename": "ExecutionStepStartEvent", "stepKey": "trained_model", "timestamp": "1000"},
        {"__typename": "LogMessageEvent", "message": "train: epoch 2/5 loss 0.41 accuracy 0.86"},
        {"__typename": "LogMessageEvent", "message": "something else"},
        {
            "__typename": "MaterializationEvent", "stepKey": "trained_model", "timestamp": "3500",
            "assetKey": {"path": ["trained_model"]},
            "metadataEntries": [
                {"label": "reused", "boolValue": True}, {"label": "version", "text": "abcdef" * 9},
            ],
        },
    ):
        assert follower.take(to_event(raw)) is None
    assert lines[0] == "    epoch 2/5 loss 0.41 accuracy 0.86"
    assert lines[1].split() == ["trained_model", "reused", "2.5", "s", "abcdefabcdef"]
    assert follower.report.reused == 1
    assert follower.take(to_event({"__typename": "RunSuccessEvent"})) is True
