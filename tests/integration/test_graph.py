"""The whole graph on real images: what it makes, reuses, tracks and serves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from deploy.serve import read_champion
from mlops_assets.config import load_settings
from mlops_assets.contracts.backends import BACKENDS_FILE, read_pick
from mlops_assets.contracts.model_card import CARD_FILE, EXPLAIN_FILE, ModelCard, read_card
from mlops_assets.contracts.prediction import FeedbackRecord, PredictionRecord
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.provenance.hashing import sha256_file
from mlops_assets.provenance.record import InputRef
from mlops_assets.raw.snapshot import read_batches
from mlops_assets.serving.effect import change
from mlops_assets.serving.states import arrive, roll_back
from resources.dvc import DvcRepository
from resources.journal import KEY_FORMAT, JournalWriter
from tests.graph import BATCH_GROUPS, Graph, explain, set_digits
from tests.label_queue import label_by_keys
from tests.predictions import predict_all

pytestmark = pytest.mark.slow
# So many of the labels that a retraining learns from are given in the console's queue.
KEYED = 5


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[Graph]:
    """A home in which the graph was materialized once."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("graph") / "home"
        patch.setenv("PLATFORM_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        set_digits(patch, digits)
        graph = Graph(home)
        result = graph.run()
        assert result.success, explain(result)
        yield graph
        graph.instance.dispose()


@pytest.fixture(autouse=True)
def same_settings(graph: Graph, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test sees the settings that the graph was made with."""
    set_digits(monkeypatch, digits)
    monkeypatch.setenv("PLATFORM_HOME", str(graph.home))


def _label(graph: Graph, records: list[PredictionRecord], labels: list[str]) -> None:
    writer = JournalWriter(graph.home / "journal")
    for record, label in zip(records, labels, strict=True):
        writer.append(FeedbackRecord(
            prediction_id=record.answer.prediction_id, label=label, at=datetime.now(UTC)))
    writer.close()


def _all_assets() -> list[str]:
    from mlops_assets.definitions import defs

    node = defs.resolve_asset_graph()
    return [key.to_user_string() for key in node.get_all_asset_keys()
            if node.get(key).group_name in BATCH_GROUPS]


def test_data_version_is_the_hash_in_the_store(graph: Graph) -> None:
    for asset in _all_assets():
        refs = graph.store.pin_all(asset) or [graph.store.pin(asset)]
        tags = graph.latest(asset).tags or {}
        assert tags["dagster/data_version"] == refs[0].version, asset
        assert graph.store.verify(refs[0]).version == refs[0].version


def test_model_learns_digits(graph: Graph) -> None:
    assert graph.value("model_evaluation", "accuracy") > 0.9


def test_the_release_picks_a_backend_by_measurement_and_says_why(graph: Graph) -> None:
    folder = graph.store.path(graph.store.pin("backend_comparison"))
    pick, told = read_pick(folder), json.loads((folder / BACKENDS_FILE).read_bytes())
    found = {each["name"]: each for each in told["backends"]}
    assert list(found) == list(load_settings("demo").export.backends)
    assert pick.precision == "fp32"
    assert found[pick.backend]["verdict"] == "picked"
    assert found[pick.backend]["error"] < 1e-4
    serving = [each for each in found.values()
               if each["speed"] and each["engine"] and each["precision"] == "fp32"]
    best = max(each["speed"]["images_per_second"] for each in serving)
    assert found[pick.backend]["speed"]["images_per_second"] >= 0.95 * best
    assert found["onnxruntime-int8"]["gate"]["slices"][0]["slice"] == "overall"
    assert "int8 is not allowed" in found["onnxruntime-int8"]["verdict"]
    assert graph.value("backend_comparison", "reason").startswith(f"picked: {pick.backend} because")
    rows = graph.value("backend_comparison", "backends").records
    assert [row.data["backend"] for row in rows] == list(found)
    home, _, version = graph.value("model_bento", "bento_tag").partition(":")
    card = read_card(graph.home / "bentoml" / "bentos" / home / version / "src" / "model")
    assert (card.engine, card.precision) == (pick.engine, pick.precision)


def test_pictures_are_in_the_materializations(graph: Graph) -> None:
    for asset, names in {
        "raw_images": ["sample"], "dataset": ["classes_by_split"], "trained_model": ["curves"],
        "model_evaluation": ["confusion_matrix", "f1_by_class", "calibration_plot"],
    }.items():
        for name in names:
            assert "data:image/png;base64," in str(graph.value(asset, name))


def test_mlflow_has_curves_pictures_tags_and_aliases(graph: Graph) -> None:
    client = graph.tracking.client()
    run_id = str(graph.value("trained_model", "mlflow_run_id"))
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster.asset_key"] == "trained_model"
    assert run.data.tags["dagster_run_id"]
    assert len(client.get_metric_history(run_id, "accuracy")) == 8
    pictures = {file.path for file in client.list_artifacts(run_id, "test")}
    assert {"test/confusion_matrix.png", "test/calibration_plot.png"} <= pictures
    champion = graph.tracking.by_alias("classifier", "champion")
    assert champion is not None
    assert champion.exported_model == graph.store.pin("exported_model").version


def test_dvc_tracks_the_raw_snapshot(graph: Graph, tmp_path: Path) -> None:
    dvc = DvcRepository(graph.store.root)
    assert "up to date" in dvc.run("status")
    ref = graph.store.pin_all("raw_images")[0]
    folder = graph.store.path(ref)
    assert graph.value("raw_images", "dvc_hash") == dvc.hash_of(folder)
    remote = tmp_path / "remote"
    dvc.run("remote", "add", "--default", "--force", "local", str(remote))
    dvc.run("push")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in sorted(folder.iterdir()):
        path.unlink()
    folder.rmdir()
    cache = graph.store.root / ".dvc" / "cache"
    cache.rename(tmp_path / "cache-gone")
    dvc.run("pull")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    graph.store.verify(ref)


def test_second_run_reuses_everything(graph: Graph) -> None:
    result = graph.run()
    assert result.success, explain(result)
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        assert metadata["reused"].value is True, event.asset_key


def test_unchanged_content_launches_nothing_downstream(graph: Graph) -> None:
    from mlops_assets.definitions import defs

    asked = dg.evaluate_automation_conditions(defs, graph.instance)
    again = graph.run(dg.AssetSelection.assets("raw_images"))
    assert again.success, explain(again)
    after = dg.evaluate_automation_conditions(defs, graph.instance, cursor=asked.cursor)
    assert after.total_requested == 0


def test_changed_content_launches_what_stands_on_it(graph: Graph) -> None:
    from mlops_assets.definitions import defs

    first = dg.evaluate_automation_conditions(defs, graph.instance)
    graph.instance.report_runless_asset_event(dg.AssetMaterialization(
        "raw_images", partition="initial", tags={"dagster/data_version": "other bytes"}))
    second = dg.evaluate_automation_conditions(defs, graph.instance, cursor=first.cursor)
    requested = {key.to_user_string() for key in second._requested_partitions_by_asset_key}
    assert "validated_images" in requested
    result = graph.run()
    assert result.success, explain(result)


def test_record_names_inputs_code_config_and_lock(graph: Graph) -> None:
    record = graph.store.verify(graph.store.pin("trained_model"))
    shards = graph.store.pin("training_shards")
    assert record.inputs == [shards]
    assert len(record.code_commit) == 40
    assert record.config["model"] == "test_byobnet"
    assert len(record.lock_sha256) == 64
    card_path = graph.store.path(graph.store.pin("exported_model")) / CARD_FILE
    card = ModelCard.model_validate_json(card_path.read_bytes())
    assert card.origin.dataset == graph.store.pin("dataset").version
    assert card.max_parity_error < 1e-4
    assert card.explain == "gradcam"
    assert card.explain_sha256 == sha256_file(card_path.with_name(EXPLAIN_FILE))


def test_production_comes_back_into_the_graph(graph: Graph, digits: Path) -> None:
    from mlops_assets.definitions import defs

    images = [(path, path.parent.name) for path in sorted(digits.glob("*/*.png"))[::8]]
    exported = graph.store.path(graph.store.pin("exported_model"))
    tag = read_champion(graph.home / "serving/state.json").bento_tag
    records = predict_all(exported, [path for path, _ in images], graph.home / "journal", tag)
    _label(graph, records, [label for _, label in images])
    hour = records[-1].at.strftime(KEY_FORMAT)
    hourly = dg.AssetSelection.assets("prediction_log", "feedback_labels")
    assert graph.run(hourly, hour).success
    monitored = graph.run(dg.AssetSelection.assets("drift_report", "performance_report"), None)
    assert monitored.success, explain(monitored)
    assert graph.value("performance_report", "accuracy") > 0.9
    assert graph.value("drift_report", "verdict") in ("stable", "watch")
    sensor = defs.resolve_sensor_def("drift_sensor")
    with dg.build_sensor_context(instance=graph.instance) as context:
        quiet = sensor.evaluate_tick(context)
    assert not quiet.run_requests


def test_drift_retrains_on_what_production_labelled(
    graph: Graph, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    changed = {"MLOPS_SERVICE_KEEP_SHARE": "1", "MLOPS__DRIFT__MIN_LABELS": "200",
               "MLOPS__GATE__SLICE_MARGIN": "0.35"}
    for key, value in changed.items():
        monkeypatch.setenv(key, value)
    shifted = []
    for path in sorted(digits.glob("*/*.png"))[::3]:
        place = tmp_path / f"{path.parent.name}-{path.name}"
        cv2.imwrite(str(place), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        shifted.append(place)
    exported = graph.store.path(graph.store.pin("exported_model"))
    tag = read_champion(graph.home / "serving/state.json").bento_tag
    records = predict_all(exported, shifted, graph.home / "journal", tag)
    labels = [path.name.rpartition("-")[0] for path in shifted]
    _label(graph, records[KEYED:], labels[KEYED:])
    keyed = {each.answer.prediction_id: label
             for each, label in zip(records[:KEYED], labels[:KEYED], strict=True)}
    label_by_keys(graph.home, tag, keyed, read_card(exported).classes, tmp_path / "service")
    hour = records[-1].at.strftime(KEY_FORMAT)
    assert graph.run(dg.AssetSelection.assets("prediction_log", "feedback_labels"), hour).success
    judged = graph.run(dg.AssetSelection.assets("drift_report"), None)
    assert judged.success, explain(judged)
    assert graph.value("drift_report", "verdict") == "drifted"
    assert graph.value("drift_report", "action") == "retrain"
    assert graph.value("drift_report", "harm") > 0.3
    for picture in ("signals_plot", "pairs"):
        assert "data:image/png;base64," in str(graph.value("drift_report", picture))
    report = graph.store.pin("drift_report")
    page = Path(str(graph.value("drift_report", "report"))).read_text()
    assert '<span class="verdict drifted">drifted</span>' in page
    assert InputRef(asset="exported_model", version=graph.store.pin("exported_model").version) in \
        graph.store.verify(report).inputs
    for first, rows in ((hour, len(shifted)), ("2999-01-01-00:00", 0)):
        _look_back(graph, first, rows)
    judged = graph.run(dg.AssetSelection.assets("drift_report"), None)
    assert judged.success, explain(judged)
    with dg.build_sensor_context(instance=graph.instance) as context:
        tick = graph.definitions.resolve_sensor_def("drift_sensor")(context)
    assert isinstance(tick, dg.SensorResult)
    (request,) = tick.run_requests or []
    assert request.tags["mlops/drift_report"] == report.version
    batch = str(request.partition_key)
    graph.instance.add_dynamic_partitions("batch", [batch])
    data = dg.AssetSelection.assets("raw_images", "validated_images", "quarantined_images",
                                    "embeddings", "dataset", "training_shards", "trained_model",
                                    "model_evaluation")
    retrained = graph.run(data, batch)
    assert retrained.success, explain(retrained)
    assert graph.value("raw_images", "dagster/row_count") > 300
    gate = graph.value("model_evaluation", "gate_slices").records
    (drifted,) = [row.data for row in gate if row.data["slice"] == f"batch {batch}"]
    assert drifted["candidate"] > drifted["champion"] + 0.2
    made = graph.store.pin("raw_images", batch)
    rows = [row for part in read_batches(graph.store.path(made), ["source", "label"])
            for row in part.to_pylist()]
    labelled = {row["source"].removeprefix("prediction/"): row["label"] for row in rows}
    assert keyed.items() <= labelled.items()
    # Labels that come later make another batch, never this one another.
    _label(graph, records[:5], ["digit-0"] * 5)
    assert graph.run(dg.AssetSelection.assets("feedback_labels"), hour).success
    assert graph.run(dg.AssetSelection.assets("raw_images"), batch).success
    assert graph.store.pin("raw_images", batch) == made
    graph.instance.add_dynamic_partitions("batch", ["feedback-again"])
    empty = graph.run(dg.AssetSelection.assets("raw_images"), "feedback-again")
    assert not empty.success
    assert "0 new labelled images" in explain(empty)


def _look_back(graph: Graph, first_hour: str, least_rows: int) -> None:
    """A report of chosen hours describes them and asks for nothing.

    So few reference rows are compared with the window alone.
    """
    told = graph.run(
        dg.AssetSelection.assets("drift_report"), None,
        {"ops": {"drift_report": {"config": {"first_hour": first_hour}}}})
    assert told.success, explain(told)
    verdict = "drifted" if least_rows else "too-few"
    assert graph.value("drift_report", "verdict") == verdict
    assert graph.value("drift_report", "action") == "none"
    place = graph.store.path(graph.store.pin("drift_report"))
    body = json.loads((place / "report.json").read_text())
    rows = next((int(row["value"]) for row in body["quality"] if row["what"] == "predictions"), 0)
    assert rows >= least_rows
    assert bool(body["columns"]) == bool(rows) == bool(least_rows)


def test_a_rollout_is_judged_in_the_graph_and_audited(graph: Graph) -> None:
    def alter(how: Callable[[RolloutState, datetime], RolloutState]) -> RolloutState:
        return change(graph.home, graph.tracking, "classifier", how,
                      actor="test", action="alter", details={})

    judged = dg.AssetSelection.assets("rollout_report")
    assert graph.run(judged, None).success
    assert graph.value("rollout_report", "verdict") == "none"
    alter(lambda state, now: arrive(state, "classifier:newer", "2" * 64, now=now, automatic=True))
    assert graph.run(judged, None).success
    assert (graph.value("rollout_report", "verdict"), graph.value("rollout_report", "step")) == (
        "hold", "shadow")
    assert "nothing is known" in str(graph.value("rollout_report", "reason"))
    back = alter(lambda state, now: roll_back(state, reason="the test is over", now=now))
    assert set(back.slots) == {"champion"}
