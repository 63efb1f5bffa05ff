"""The command line: fast help, and every failure in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mlops_assets.cli import COMMANDS, main
from mlops_assets.cli.common import interruptible, uninterrupted
from tests.commands import COMMAND
from tests.stand_in_service import running_service


def mlops(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
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


@pytest.fixture
def service() -> Iterator[str]:
    with running_service() as url:
        yield url


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


def test_features_of_an_empty_store_and_of_no_id_are_one_line(tmp_path: Path) -> None:
    done = mlops("features", "0" * 64, PLATFORM_HOME=str(tmp_path))
    assert_one_line(done, "is empty", "materialize `online_features`")
    assert_one_line(mlops("features", "boot.png"), "`boot.png` is no image id", "sha256sum")


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


def test_both_signals_interrupt_and_cleaning_up_is_left_alone() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(number)
        with uninterrupted():
            signal.raise_signal(number)
