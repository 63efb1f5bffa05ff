"""What a built bento holds, and that building is repeatable."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import grimp
import pytest

from mlops_assets.contracts.backends import Pick
from mlops_assets.contracts.model_card import (
    CARD_FILE,
    EXPLAIN_FILE,
    INT8_FILE,
    PROGRAM_FILE,
    ModelCard,
    read_card,
)
from mlops_assets.provenance.hashing import sha256_file
from mlops_assets.releases.bento import (
    BentoBuildFailed,
    BuiltBento,
    build_bento,
    list_files,
    model_files,
    read_container_file,
)
from mlops_assets.releases.requirements import UnpinnedRequirement, serving_requirements
from tests.model_dir import add_explanation, write_model_dir

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bento")


@pytest.fixture(scope="module")
def card(folder: Path) -> ModelCard:
    write_model_dir(folder / "model")
    return add_explanation(folder / "model")


@pytest.fixture(scope="module")
def bento(folder: Path, card: ModelCard) -> BuiltBento:
    (folder / "model" / "provenance.json").write_text("{}")  # beside every artifact of the store
    return build_bento(folder / "model", bentoml_home=folder / ".home", project_root=ROOT)


def test_a_bento_holds_the_service_and_the_model_and_no_training_code(
    bento: BuiltBento, card: ModelCard
) -> None:
    assert bento.tag == f"classifier:{card.version[:16]}"
    assert bento.files["src/model/model.onnx"] == card.program_sha256
    assert bento.files["src/model/explain.onnx"] == card.explain_sha256
    assert sorted(n for n in bento.files if n.startswith("src/model/")) == [
        "src/model/explain.onnx",
        "src/model/golden.npz",
        "src/model/model.onnx",
        "src/model/model_card.json",
        "src/model/reference.npz",
    ]
    carried = {name.removeprefix("src/") for name in bento.files if name.endswith(".py")}
    assert {"bentos/service.py", "resources/journal.py", "resources/durable.py"} <= carried
    assert not [
        n for n in carried if re.match(r"mlops_assets/(?!contracts|provenance|__init__)", n)
    ]
    text = (bento.path / "env/python/requirements.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==\d", text, re.M))
    assert {"bentoml", "onnxruntime", "uvloop", "httptools", "python-multipart"} <= names
    assert not names & {"torch", "dagster", "mlflow", "timm", "dvc", "polars"}
    assert not re.findall(r"^[a-z0-9-]+$", text, re.M)
    assert f"model-version: {card.version}" in (bento.path / "bento.yaml").read_text()


def test_a_bento_carries_every_module_that_its_service_imports(bento: BuiltBento) -> None:
    # Beside a checkout a missing one would be found there.
    graph = grimp.build_graph("bentos", "resources", "mlops_assets")
    waiting, needed = ["bentos.service"], set[str]()
    while waiting:
        module = waiting.pop()
        if module not in needed:
            needed.add(module)
            waiting += graph.find_modules_directly_imported_by(module)
    carried = {name.removeprefix("src/").removesuffix(".py").removesuffix("/__init__")
               for name in bento.files if name.endswith(".py")}
    assert {module.replace(".", "/") for module in needed} <= carried


def test_the_container_file_runs_as_a_user_and_carries_no_secret(bento: BuiltBento) -> None:
    text = read_container_file(bento.path)
    assert re.search(r"^FROM python:3\.\d+-slim AS base-container$", text, re.M)
    assert re.findall(r"^USER (.+)$", text, re.M) == ["bentoml"]
    assert "BENTOML_DO_NOT_TRACK=True" in text
    assert not re.search(r"password|secret|token|api_key|https?://", text, re.I)


def test_building_again_keeps_an_equal_bento_and_replaces_another(
    folder: Path, bento: BuiltBento
) -> None:
    home = folder / ".home"
    before = (bento.path / "bento.yaml").stat().st_ino
    assert build_bento(folder / "model", bentoml_home=home, project_root=ROOT) == bento
    assert (bento.path / "bento.yaml").stat().st_ino == before
    other = folder / "other"
    shutil.copytree(home, other)
    older = other / bento.path.relative_to(home)
    (older / "src/bentos/app.py").write_text("older code")
    (older / "src/bentos/gone.py").write_text("a module that is no more")
    again = build_bento(folder / "model", bentoml_home=other, project_root=ROOT)
    assert again == BuiltBento(bento.tag, older, bento.files)
    assert list_files(older) == bento.files
    assert [path.name for path in other.iterdir()] == ["bentos"]
    assert (older.parent / "latest").read_text() == older.name


def test_a_quantized_bento_has_a_tag_of_its_own_and_names_its_own_program(
    folder: Path, card: ModelCard, bento: BuiltBento
) -> None:
    model = folder / "int8"
    shutil.copytree(folder / "model", model)
    write_model_dir(folder / "quantized", seed=1)
    shutil.copyfile(folder / "quantized" / PROGRAM_FILE, model / INT8_FILE)
    sha256 = sha256_file(model / INT8_FILE)
    named = card.model_copy(update={"int8_sha256": sha256})
    (model / CARD_FILE).write_text(named.model_dump_json())
    pick = Pick(backend="openvino-int8", engine="openvino", precision="int8", program=INT8_FILE,
                golden_tolerance=0.05, requirements=("openvino==1.2.3",))
    built = build_bento(model, bentoml_home=folder / ".home", project_root=ROOT, pick=pick)
    assert built.tag == f"{bento.tag}-int8"
    assert bento.path.is_dir()
    assert built.files["src/model/model.onnx"] == sha256
    assert not {"src/model/int8.onnx", "src/model/explain.onnx"} & built.files.keys()
    served = read_card(built.path / "src" / "model")
    assert (served.precision, served.engine, served.program_sha256) == ("int8", "openvino", sha256)
    assert (served.version, served.explain) == (card.version, "occlusion")
    assert "openvino==1.2.3" in (built.path / "env/python/requirements.txt").read_text()


def test_a_model_that_explains_nothing_ships_without_that_program(tmp_path: Path) -> None:
    assert EXPLAIN_FILE not in model_files(write_model_dir(tmp_path / "plain"))
    write_model_dir(tmp_path / "model")
    assert EXPLAIN_FILE in model_files(add_explanation(tmp_path / "model"))


@pytest.mark.parametrize("name", [PROGRAM_FILE, EXPLAIN_FILE])
def test_a_model_that_is_not_its_card_is_not_built(tmp_path: Path, name: str) -> None:
    write_model_dir(tmp_path / "model")
    add_explanation(tmp_path / "model")
    with (tmp_path / "model" / name).open("ab") as program:
        program.write(b" ")
    with pytest.raises(BentoBuildFailed, match="not the program of its card"):
        build_bento(tmp_path / "model", bentoml_home=tmp_path / "home", project_root=ROOT)
    assert not (tmp_path / "home").exists()


def test_a_lock_that_lacks_a_requirement_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text((ROOT / "requirements.lock").read_text().replace("orjson==", "orsonj=="))
    with pytest.raises(UnpinnedRequirement, match="does not pin orjson"):
        serving_requirements(lock)
