"""``mlops lineage``: from any id down to the raw bytes, and up to what saw them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.contracts.neighbours import NEIGHBOURS_FILE
from mlops_assets.lineage.graph import Artifact, load_graph
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes
from mlops_assets.provenance.merkle import MembershipProof, verify
from resources.dvc import DvcRepository
from resources.journal import locate
from tests.small_platform import QUANTIZED, SmallPlatform, mlops

CHAIN = ["training_shards", "dataset", "validated_images", "raw_images"]


def lineage(text: str) -> dict[str, Any]:
    found = mlops("lineage", text, "--json")
    assert found.exit_code == 0, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def assets(views: list[dict[str, Any]]) -> list[str]:
    return [view["asset"] for view in views]


def test_a_prediction_leads_to_the_raw_bytes(platform: SmallPlatform) -> None:
    record = platform.predictions[0]
    told = lineage(record.answer.prediction_id)
    assert told["kind"] == "prediction"
    assert told["facts"] | {
        "image_sha256": sha256_bytes(platform.images[0]), "bento_tag": platform.tag,
        "program_sha256": platform.card.program_sha256, "registered_as": "classifier/1",
        "mlflow_run_id": "0123456789abcdef", "commit": "c" * 40,
    } == told["facts"]
    assert told["artifact"]["asset"] == "model_bento"
    way = [f"model_bento/{told['artifact']['version']}"]
    while parents := told["parents"][way[-1]]:
        way.append(parents[0])
    assert [key.partition("/")[0] for key in way] == [
        "model_bento", "registered_model", "exported_model", "trained_model", *CHAIN]
    raw = told["made_from"][assets(told["made_from"]).index("raw_images")]
    folder = platform.store.path(platform.store.pin("raw_images", "initial"))
    assert raw["facts"]["dvc"] == DvcRepository(platform.store.root).hash_of(folder)
    assert raw["partitions"] == ["initial"]


def test_a_receipt_names_the_nearest_training_images_and_proves_them(
    platform: SmallPlatform,
) -> None:
    record = platform.predictions[0]
    receipt = lineage(record.answer.prediction_id)["receipt"]
    assert receipt["answer"] == record.answer.model_dump()
    path, line = locate(platform.home / "journal", record.answer.prediction_id) or (None, b"")
    assert receipt["record_sha256"] == sha256_bytes(line)
    assert path is not None and receipt["record_sha256"].encode() in path.read_bytes()
    dataset = platform.store.pin("dataset").version
    assert receipt["origin"]["dataset"] == dataset
    near = receipt["nearest"]
    with np.load(platform.store.path(platform.exported) / NEIGHBOURS_FILE) as kept:
        away = np.linalg.norm(kept["embedding"].astype(np.float32) - record.embedding, axis=1)
        ids = kept["image_ids"].astype(str)
    order = np.argsort(away)[:5]
    assert [each["image_id"] for each in near] == ids[order].tolist()
    assert [each["distance"] for each in near] == pytest.approx(away[order].tolist(), rel=1e-5)
    for each in near:
        proof = each["proof"]
        assert proof["row"]["image_id"] == each["image_id"]
        path_of = MembershipProof(proof["index"], proof["size"], tuple(proof["path"]))
        assert verify(canonical_json(proof["row"]), path_of, dataset)
    text = mlops("lineage", record.answer.prediction_id).output
    assert f"of {near[0]['proof']['size']}, proven by" in text
    assert receipt["record_sha256"] in text


def test_a_damaged_tree_is_made_anew(platform: SmallPlatform) -> None:
    prediction = platform.predictions[0].answer.prediction_id
    whole = lineage(prediction)["receipt"]
    (tree,) = (platform.home / "work" / "merkle").iterdir()
    content = tree.read_bytes()
    for damage in (b"", content[:-1], content[:400] + bytes(len(content) - 400)):
        tree.write_bytes(damage)
        assert lineage(prediction)["receipt"] == whole


def test_the_tree_shows_every_step_with_whole_hashes(platform: SmallPlatform) -> None:
    text = mlops("lineage", platform.predictions[0].answer.prediction_id).output
    record = load_graph(platform.store)
    for asset in ("model_bento", "exported_model", "trained_model", *CHAIN):
        (artifact,) = record.of(asset)
        assert artifact.version in text
    dataset = platform.store.pin("dataset").version
    assert f"dataset Merkle root {dataset}" in text


def test_names_of_one_model_give_one_lineage(platform: SmallPlatform) -> None:
    names = [platform.card.program_sha256, platform.card.program_sha256[:8], platform.tag,
             "classifier/1", platform.exported.version[:12].upper(), sha256_bytes(QUANTIZED)]
    told = [lineage(name) for name in names]
    assert {each["artifact"]["version"] for each in told} == {platform.exported.version}
    assert {each["kind"] for each in told} == {"model"}
    assert set(assets(told[0]["used_by"])) == {"model_bento", "registered_model"}


def test_a_dataset_knows_what_it_is_made_from_and_what_used_it(platform: SmallPlatform) -> None:
    told = lineage(platform.store.pin("dataset").version[:8])
    assert assets(told["made_from"]) == ["validated_images", "raw_images"]
    assert set(assets(told["used_by"])) == {
        "training_shards", "trained_model", "exported_model", "model_bento", "registered_model"}


def test_an_image_is_proven_to_be_in_its_dataset(platform: SmallPlatform) -> None:
    image = sha256_bytes(platform.images[0])
    told = lineage(image)["image"]
    assert told["snapshots"][0]["facts"]["source"].endswith("bag/000.png")
    assert [each["prediction_id"] for each in told["predictions"]] == [
        platform.predictions[0].answer.prediction_id]
    assert told["quarantined"] == []
    (member,) = told["datasets"]
    assert member["proven"] is True and member["row"]["image_id"] == image
    proof = member["proof"]
    proof = MembershipProof(proof["index"], proof["size"], tuple(proof["path"]))
    dataset = platform.store.pin("dataset").version
    assert verify(canonical_json(member["row"]), proof, dataset)
    assert not verify(canonical_json(member["row"] | {"label": "coat"}), proof, dataset)


def test_an_image_leads_to_the_models_that_saw_it(platform: SmallPlatform) -> None:
    image = sha256_bytes(platform.images[3])
    told = lineage(image)
    assert platform.exported.version in {view["version"] for view in told["used_by"]}
    text = mlops("lineage", image).output
    assert "is proven by" in text and "in raw_images" in text


def test_a_quarantined_image_says_why(platform: SmallPlatform) -> None:
    image = sha256_bytes(platform.images[-1])
    told = lineage(image)["image"]
    assert [each["facts"]["reason"] for each in told["quarantined"]] == ["blank"]
    assert told["datasets"] == []
    assert "quarantined: blank" in mlops("lineage", image).output


def test_an_image_that_only_production_saw(platform: SmallPlatform) -> None:
    told = lineage(sha256_bytes(b"never seen"))["image"]
    assert len(told["predictions"]) == 1 and told["snapshots"] == []


def test_a_damaged_record_is_left_out_and_told(platform: SmallPlatform) -> None:
    path = platform.store.path(platform.store.pin("training_shards")) / "provenance.json"
    before = path.read_bytes()
    path.write_bytes(b"{}")
    found = mlops("lineage", platform.exported.version[:8])
    path.write_bytes(before)
    assert found.exit_code == 0
    assert f"its record is damaged: {path}" in found.stderr


def test_graph_reduces_to_the_longest_ways(platform: SmallPlatform) -> None:
    graph = load_graph(platform.store)
    (shards,), (dataset,) = graph.of("training_shards"), graph.of("dataset")
    assert [each.asset for each in graph.inputs(shards)] == ["dataset", "raw_images"]
    assert graph.parents(shards) == [dataset]
    assert graph.descendants(Artifact("absent", "0")) == []
    for each in graph.records:
        assert set(graph.ancestors(each)).isdisjoint(graph.descendants(each))


@pytest.mark.parametrize(("text", "said"), [
    ("12345", "is no id"), ("0123456789", "nothing in"), ("f" * 64, "nothing in"),
    ("classifier:none", "there is no bento"), ("../../etc/passwd", "is no id"),
])
def test_an_unknown_id_is_one_line(platform: SmallPlatform, text: str, said: str) -> None:
    for command in ("verify", "lineage"):
        found = mlops(command, text)
        assert found.exit_code == 1
        assert said in found.stderr and len(found.stderr.splitlines()) == 1


def test_an_empty_home_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path))
    for arguments in (["verify"], ["lineage", "0" * 8]):
        found = mlops(*arguments)
        assert found.exit_code == 1 and "there is no artifact in" in found.stderr


def test_lineage_imports_neither_dagster_nor_torch_nor_parquet(platform: SmallPlatform) -> None:
    code = ("import sys\nfrom mlops_assets.cli import main\n"
            f"try: main(['lineage', '{platform.exported.version[:8]}'])\n"
            "except SystemExit as end: assert end.code == 0\n"
            "print({'dagster', 'torch', 'mlflow', 'pyarrow', 'polars'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n"), done.stdout[-200:]
