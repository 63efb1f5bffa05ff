"""``mlops reproduce``: a model made again from raw bytes is the same, or why not is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.provenance.record import InputRef
from mlops_assets.raw.labelled import ImageFolder
from mlops_assets.raw.snapshot import write_snapshot
from resources.dvc import DvcRepository
from resources.folders import LocalFolder
from resources.steps import Step, Workspace, run_step
from tests.digits import write_digits
from tests.graph import Graph, explain, set_digits
from tests.small_platform import mlops

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MODEL = dg.AssetSelection.assets(
    "raw_images", "validated_images", "quarantined_images", "dataset", "training_shards",
    "trained_model", "model_evaluation", "exported_model")
COMMIT = "c" * 40


@pytest.fixture(scope="module")
def made(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    with pytest.MonkeyPatch.context() as patch:
        set_digits(patch, digits, TRAINING__EPOCHS="2")
        patch.setenv("MLOPS_PROFILE", "demo")
        patch.setenv("MLOPS_CODE_COMMIT", COMMIT)
        graph = Graph(tmp_path_factory.mktemp("reproduce") / "home")
        result = graph.run(MODEL)
        assert result.success, explain(result)
        yield graph


@pytest.fixture
def graph(made: Graph, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The home that ``mlops`` works on within one test."""
    monkeypatch.setenv("PLATFORM_HOME", str(made.home))
    return made


def reproduce(graph: Graph, *arguments: str) -> tuple[int, dict[str, Any], str]:
    version = graph.store.pin("exported_model").version
    found = mlops("reproduce", version[:12], "--profile", "demo", "--json", *arguments)
    told = json.loads(found.stdout) if found.stdout.startswith("{") else {}
    return found.exit_code, told, found.stderr


def test_a_model_is_made_again_from_what_dvc_gives(graph: Graph, tmp_path: Path) -> None:
    raw = graph.store.path(graph.store.pin("raw_images", "initial"))
    repository = DvcRepository(graph.store.root)
    repository.track(raw)
    repository.run("remote", "add", "-d", "backup", str(tmp_path / "remote"))
    repository.run("push", "--quiet")
    # Neither the snapshot nor DVC's cache is here any more.
    shutil.rmtree(raw)
    shutil.rmtree(graph.store.root / ".dvc" / "cache")
    code, told, said = reproduce(graph)
    assert code == 0, said
    assert told["equal"] is True
    assert [each["asset"] for each in told["compared"]] == [
        "validated_images", "dataset", "training_shards", "trained_model", "model_evaluation",
        "exported_model"]
    assert all(each["equal"] for each in told["compared"])
    exact = [each for each in told["compared"] if each["asset"] != "exported_model"]
    assert all(each["wanted"] == each["got"] for each in exact)
    assert "raw_images (initial): whole" in said


@pytest.mark.parametrize(("variable", "value", "named"), [
    ("MLOPS_CODE_COMMIT", "d" * 40, f"code commit: {COMMIT} then, {'d' * 40} now"),
    ("MLOPS__TRAINING__THREADS", "2", "threads: 1 then, 2 now"),
    ("MLOPS__TRAINING__LEARNING_RATE", "0.02", "setting training.learning_rate: 0.01 then, 0.02"),
])
def test_what_differs_here_is_named_before_anything_is_run(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    code, _, said = reproduce(graph)
    assert code == 1
    assert named in said


def test_anyway_goes_on_and_names_the_first_that_differs(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS__TRAINING__LEARNING_RATE", "0.02")
    code, told, said = reproduce(graph, "--anyway", "--keep", str(tmp_path / "kept"))
    assert code == 1
    assert told["equal"] is False
    first = next(each for each in told["compared"] if not each["equal"])
    assert first["asset"] == "trained_model"
    assert "setting learning_rate: 0.01 then, 0.02 now" in first["why"]
    assert "differs: setting training.learning_rate" in said
    assert (tmp_path / "kept" / "store" / "trained_model").is_dir()


def test_a_model_that_learnt_from_production_is_made_again(
    graph: Graph, tmp_path: Path
) -> None:
    images = ImageFolder(LocalFolder(write_digits(tmp_path, per_class=12, skip=100)), None,
                         least=2, most=10)

    def log(work: Workspace) -> None:
        (work.out("prediction_log") / "predictions.parquet").write_bytes(b"of that hour")

    def snapshot(work: Workspace) -> None:
        write_snapshot(work.out("raw_images"), images.images(), images.classes)

    def take(step: Step, build: Callable[[Workspace], None], partition: str) -> InputRef:
        (result,) = run_step(graph.store, step, build, project_root=PROJECT_ROOT, run_id="test",
                             partition=partition)
        return result.ref

    hour = take(Step("monitoring", ("prediction_log",)), log, "2026-11-25-10:00")
    take(Step("raw", ("raw_images",), pinned={"prediction_log hour": hour}), snapshot,
         "feedback-abc-1")
    graph.instance.add_dynamic_partitions("batch", ["feedback-abc-1"])
    before = graph.store.pin("exported_model")
    result = graph.run(MODEL - dg.AssetSelection.assets("raw_images"), partition="feedback-abc-1")
    assert result.success, explain(result)
    assert graph.store.pin("exported_model") != before
    code, told, said = reproduce(graph)
    assert (code, told["equal"]) == (0, True), said
    made = [each["partition"] for each in told["compared"] if each["asset"] == "validated_images"]
    assert "feedback-abc-1" in made


def test_what_is_no_model_is_one_line(graph: Graph) -> None:
    found = mlops("reproduce", graph.store.pin("dataset").version[:12])
    assert found.exit_code == 1 and "names no model" in found.stderr
