"""``mlops forget``: an image leaves all future datasets, and what it went into is named."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.contracts.manifest import ROWS_FILE
from mlops_assets.lineage.graph import Artifact
from mlops_assets.lineage.graph import Graph as ArtifactGraph
from mlops_assets.models.registration import clean_start
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.validated.dataset import EXCLUDED_FILE
from resources.platform_db import PlatformDatabase
from tests.graph import Graph, explain, set_digits
from tests.small_platform import SmallPlatform, mlops


@dg.op
def nothing() -> None:
    """Stands for the rebuilding."""


@dg.op
def fault() -> None:
    """Stands for one that fails."""
    raise ValueError("the disk is full")


def test_weights_that_saw_it_are_no_start(platform: SmallPlatform) -> None:
    trained = platform.store.pin("trained_model")
    image = sha256_bytes(platform.images[0])
    for forgotten, start in (([], True), (["0" * 64], True), ([image, "0" * 64], False)):
        assert bool(clean_start(platform.store, trained, forgotten)) is start


def test_a_model_that_was_only_compared_is_not_tainted(platform: SmallPlatform) -> None:
    graph = ArtifactGraph(platform.store)
    data, shards, other = (Artifact(name, name) for name in ("dataset", "training_shards", "x"))
    old, new = Artifact("exported_model", "old"), Artifact("exported_model", "new")
    evaluation = Artifact("model_evaluation", "of the new")
    graph.users = {data: {shards}, shards: {old, evaluation}, old: {evaluation, other},
                   evaluation: {new}}
    assert new in graph.descendants(data)
    assert set(graph.learnt_from(data)) == {shards, old, evaluation, other}


def test_forget_names_what_is_tainted_and_is_audited(platform: SmallPlatform) -> None:
    image = sha256_bytes(platform.images[0])
    found = mlops("forget", image, "--reason", "consent withdrawn", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["added"] is True
    assert told["batches"] == ["initial"]
    assert list(told["splits"]) == [platform.store.pin("dataset").version]
    assert told["models"] == [platform.card.program_sha256]
    assert (told["bentos"], told["serving"]) == ([platform.tag], ["champion"])
    assert told["predictions"] == 1
    with closing(PlatformDatabase(platform.home)) as database:
        last = database.read_audit()[-1]
    assert (last.action, last.reason, last.details) == (
        "forget", "consent withdrawn", {"image_sha256": image})
    again = mlops("forget", image, "--reason", "again")
    assert "was already left out" in again.output
    assert f"tainted bento {platform.tag}, which serves as champion" in again.output
    assert mlops("verify").exit_code == 0
    whole = (platform.home / "platform.db").read_bytes()
    with sqlite3.connect(platform.home / "platform.db") as connection:
        connection.execute("DELETE FROM audit_log WHERE action = 'forget'")
    connection.close()
    assert "has 1 entries, but had 2" in mlops("verify").output
    (platform.home / "platform.db").write_bytes(whole)


def test_forget_says_in_one_line_what_is_no_image(platform: SmallPlatform) -> None:
    found = mlops("forget", "tail", "--reason", "none")
    assert found.exit_code == 1
    assert "no SHA-256 of an image" in found.stderr
    unseen = mlops("forget", "0" * 64, "--reason", "never came")
    assert "no dataset and no prediction here has seen it" in unseen.output


@pytest.mark.slow
def test_the_next_dataset_is_without_it_and_a_rebuild_is_requested_once(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets import definitions

    set_digits(monkeypatch, digits)
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    graph = Graph(tmp_path / "home")
    made = graph.run(dg.AssetSelection.assets(
        "raw_images", "validated_images", "quarantined_images", "dataset"))
    assert made.success, explain(made)
    before = graph.store.pin("dataset")
    ids = pl.read_parquet(graph.store.path(before) / ROWS_FILE)["image_id"]
    assert mlops("forget", ids[3], "--reason", "asked for").exit_code == 0
    assert graph.run(dg.AssetSelection.assets("dataset"), None).success
    after = graph.store.pin("dataset")
    left = pl.read_parquet(graph.store.path(after) / ROWS_FILE)["image_id"]
    assert set(ids) - set(left) == {ids[3]}
    excluded = pl.read_parquet(graph.store.path(after) / EXCLUDED_FILE)
    assert excluded.filter(reason="forgotten")["image_id"].to_list() == [ids[3]]
    assert graph.store.verify(after).config["forgotten"] == [ids[3]]
    assert graph.store.path(before).is_dir()

    sensor = definitions.build_forget_sensor(
        lambda: definitions.forgotten_version(graph.home), interval_seconds=30)

    def ask() -> dg.RunRequest | None:
        with dg.build_sensor_context(instance=graph.instance) as context:
            told = sensor(context)
        assert isinstance(told, dg.SensorResult)
        return next(iter(told.run_requests or []), None)

    def run(step: dg.OpDefinition, request: dg.RunRequest) -> None:
        job = dg.GraphDefinition(name=str(sensor.job_name), node_defs=[step]).to_job()
        job.execute_in_process(instance=graph.instance, raise_on_error=False, tags=request.tags)

    first = ask()
    assert first is not None and first.run_key is not None and first.run_key.endswith("-1")
    run(fault, first)
    second = ask()
    # A run that failed is asked for again, one that succeeded is not.
    assert second is not None and second.run_key is not None and second.run_key.endswith("-2")
    run(nothing, second)
    assert ask() is None
    jobs = {job.name for job in definitions.defs.resolve_all_job_defs()}
    assert sensor.job_name in jobs
