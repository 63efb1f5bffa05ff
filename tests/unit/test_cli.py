"""The command line: fast help, and every failure in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mlops_assets.cli import COMMANDS, main
from mlops_assets.cli.common import interruptible, uninterrupted
from mlops_assets.cli.dagster_api import DagsterApi, DagsterError, to_event
from mlops_assets.cli.runs import RunFollower, RunReport
from mlops_assets.cli.service_api import ServiceApi, ServiceError
from mlops_assets.cli.traffic import Traffic, sample_images, send_labels, send_traffic
from resources.store import MissingArtifact

ANSWER = {
    "prediction_id": "0" * 32, "label": "Bag", "confidence": 0.9,
    "probabilities": {"Bag": 0.9, "Coat": 0.1}, "latency_ms": 1.0,
    "model": {"name": "classifier", "version": "1", "sha256": "a" * 64, "slot": "champion"},
}


def mlops(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from mlops_assets.cli import main; main()", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | variables, timeout=60,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("mlops: ")
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "boot.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((28, 28), np.uint8))[1].tobytes())
    return path


class Service(BaseHTTPRequestHandler):
    """Answers as the service's contract says; images whose last byte is odd are refused."""

    labels: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/feedback":
            self.labels.append(json.loads(body))
            self.reply(200, {"accepted": True})
        elif self.headers["content-type"] != "image/png":
            self.reply(415, {"title": "Unsupported Media Type", "detail": "send a PNG"})
        else:
            self.reply(200, ANSWER)

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the test's stderr."""


@pytest.fixture
def service() -> Iterator[str]:
    Service.labels = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mlops_assets.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'dagster', 'torch', 'mlflow', 'cv2', 'pydantic', 'httpx'} & set(sys.modules)\n"
        "print('heavy', heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy set()\n")
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_has_help_with_an_example(name: str) -> None:
    from click.testing import CliRunner

    names = [[name, "fetch"]] if name == "data" else [[name]]
    for command in names:
        result = CliRunner().invoke(main, [*command, "--help"])
        assert result.exit_code == 0, result.output
        assert f"mlops {' '.join(command)}" in result.output.partition("Example:")[2]


def test_unknown_command_and_option_are_one_line() -> None:
    assert_one_line(mlops("nonsense"), "No such command 'nonsense'")
    assert_one_line(mlops("status", "--nonsense"), "No such option")


def test_unknown_profile_is_one_line() -> None:
    assert_one_line(mlops("status", "--profile", "nope"), "there is no profile `nope`", "demo")


def test_wrong_setting_is_one_line() -> None:
    done = mlops("status", MLOPS__PLATFORM__DAGSTER_PORT="many")
    assert_one_line(done, "platform.dagster_port", "many")


def test_unknown_dataset_is_one_line(tmp_path: Path) -> None:
    done = mlops("data", "fetch", "--dataset", "ImageNet", "--root", str(tmp_path))
    assert_one_line(done, "there is no dataset `ImageNet`")


def test_predict_without_a_service_is_one_line(png: Path) -> None:
    done = mlops("predict", str(png), "--url", "http://127.0.0.1:1")
    assert_one_line(done, "no service answers on http://127.0.0.1:1", "mlops status")


def test_predict_of_no_image_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    assert_one_line(mlops("predict", str(path), "--url", "http://127.0.0.1:1"), "is not a PNG")
    assert_one_line(mlops("predict", str(tmp_path / "none.png")), "does not exist")


def test_status_of_a_platform_that_is_down(tmp_path: Path) -> None:
    done = mlops("status", "--json", PLATFORM_HOME=str(tmp_path))
    assert done.returncode == 1
    status = json.loads(done.stdout)
    assert status["ready"] is False
    assert {each["state"] for each in status["programs"]} == {"STOPPED"}


def test_down_of_a_platform_that_is_down_does_nothing(tmp_path: Path) -> None:
    done = mlops("down", "--json", PLATFORM_HOME=str(tmp_path / "home"))
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"stopped": False}
    assert not (tmp_path / "home").exists()


def test_predict_prints_label_model_and_id(png: Path, service: str) -> None:
    done = mlops("predict", str(png), "--url", service)
    assert done.stdout == f"{png}: Bag  90.0%  classifier 1  {'0' * 32}\n"
    found = json.loads(mlops("predict", str(png), str(png), "--url", service, "--json").stdout)
    assert [each["label"] for each in found] == ["Bag", "Bag"]


def test_refusal_of_the_service_is_said(service: str) -> None:
    with closing(ServiceApi(service)) as api, pytest.raises(ServiceError, match="415: send a PNG"):
        api.predict(b"\xff\xd8\xff rest")


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


def test_both_signals_interrupt_and_cleaning_up_is_left_alone() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(number)
        with uninterrupted():
            signal.raise_signal(number)
