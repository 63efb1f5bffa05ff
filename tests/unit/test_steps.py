"""Steps: remembered, and blocked by what is missing or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.provenance.hashing import SUMMARY_FILE
from mlops_assets.provenance.merkle import merkle_root
from resources.steps import Step, Workspace
from resources.store import DamagedArtifact, MissingArtifact
from tests.small_store import Home, filler

FILES = {"a.bin": b"first", "b.bin": b"second"}


@pytest.fixture
def home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Home(tmp_path)


def joined(work: Workspace) -> None:
    content = b"".join(path.read_bytes() for path in sorted(work.read("images").glob("*.bin")))
    (work.out("joined") / "joined.bin").write_bytes(content)


def test_record_names_inputs_code_config_and_run(home: Home) -> None:
    images = home.source("images", FILES)
    record = home.derived("joined", {"images": "one"}, joined, seed=7).record
    assert record.inputs == [images]
    assert (record.seed, record.code_commit, record.code_dirty) == (7, "c" * 40, False)
    assert record.dagster_run_id == "run"
    assert home.store.verify(images).config == {"a.bin": "6669727374", "b.bin": "7365636f6e64"}


def test_a_step_is_remembered(home: Home) -> None:
    home.source("images", FILES)
    calls: list[int] = []

    def build(work: Workspace) -> None:
        calls.append(1)
        joined(work)

    first = home.derived("joined", {"images": "one"}, build)
    again = home.derived("joined", {"images": "one"}, build)
    assert calls == [1]
    assert (first.reused, again.reused) == (False, True)
    assert (again.ref, again.record, again.summary) == (first.ref, first.record, first.summary)


@pytest.mark.parametrize("change", ["input", "seed", "source", "lock", "partition"])
def test_a_step_runs_anew_when_anything_it_depends_on_changes(home: Home, change: str) -> None:
    home.source("images", FILES)
    home.derived("joined", {"images": "one"}, joined)
    step, partition = Step("features", ("joined",), inputs={"images": "one"}), None
    match change:
        case "input":
            home.source("images", {"a.bin": b"changed"})
        case "seed":
            step = Step("features", ("joined",), inputs={"images": "one"}, seed=1)
        case "source":
            (home.project / "mlops_assets" / "raw" / "code.py").write_text("NAME = 'changed'\n")
        case "lock":
            (home.project / "requirements.lock").write_text("nothing==2.0\n")
        case "partition":
            partition = "day"
    assert home.run(step, joined, partition=partition)[0].reused is False


def test_code_to_the_right_does_not_matter(home: Home) -> None:
    home.source("images", FILES)
    home.derived("joined", {"images": "one"}, joined)
    (home.project / "mlops_assets" / "models" / "code.py").write_text("NAME = 'changed'\n")
    assert home.derived("joined", {"images": "one"}, joined).reused is True


def test_going_back_to_earlier_inputs_reuses_what_they_gave(home: Home) -> None:
    first = home.source("images", FILES)
    made = home.derived("joined", {"images": "one"}, joined)
    home.source("images", {"a.bin": b"changed"})
    home.derived("joined", {"images": "one"}, joined)
    assert home.source("images", FILES) == first
    again = home.derived("joined", {"images": "one"}, joined)
    assert again.reused and again.ref == made.ref == home.store.pin("joined")


@pytest.mark.parametrize("damage", ["content", "summary", "gone", "record", "memo"])
def test_a_damaged_result_is_built_again(home: Home, damage: str) -> None:
    home.source("images", FILES)
    made = home.derived("joined", {"images": "one"}, joined)
    folder = home.store.path(made.ref)
    kept = home.store.root / "joined" / "records" / f"{made.record.sha256}.json"
    memo = home.store.root / ".steps" / f"{made.record.step_key}.json"
    match damage:
        case "content":
            (folder / "joined.bin").write_bytes(b"firstsecone")
        case "summary":
            (folder / SUMMARY_FILE).write_bytes(b"{}")
        case "gone":
            folder.rename(home.folder / "away")
        case "record":
            kept.write_bytes(kept.read_bytes()[:-1])
        case "memo":
            memo.write_bytes(memo.read_bytes().replace(made.ref.version[:8].encode(), b"0" * 8))
    again = home.derived("joined", {"images": "one"}, joined)
    assert (again.reused, again.ref) == (False, made.ref)
    home.store.verify(made.ref)


def test_a_memo_of_another_step_is_not_believed(home: Home) -> None:
    home.source("images", FILES)
    one = home.derived("joined", {"images": "one"}, joined)
    other = home.derived("joined", {"images": "one"}, filler("joined", FILES), seed=1)
    memos = home.store.root / ".steps"
    (memos / f"{one.record.step_key}.json").write_bytes(
        (memos / f"{other.record.step_key}.json").read_bytes())
    again = home.derived("joined", {"images": "one"}, joined)
    assert (again.reused, again.ref) == (False, one.ref)


def test_a_missing_input_stops_the_step(home: Home) -> None:
    for reading in ("one", "same-partition", "every-partition"):
        with pytest.raises(MissingArtifact, match=r"`images`.*materialize"):
            home.derived("joined", {"images": reading}, joined)
    assert home.store.current("joined") is None


def test_a_damaged_input_stops_the_step_before_it_reads(home: Home) -> None:
    images = home.source("images", FILES)
    (home.store.path(images) / "b.bin").write_bytes(b"secone")
    with pytest.raises(DamagedArtifact, match=r"b\.bin does not match its hash; materialize"):
        home.derived("joined", {"images": "one"}, lambda work: pytest.fail("it read"))
    home.source("images", FILES)
    assert home.derived("joined", {"images": "one"}, joined).record.inputs == [images]


def test_optional_and_ancestor_inputs(home: Home) -> None:
    def same(work: Workspace) -> None:
        assert work.read_optional("hints") is None
        (work.out("joined") / "of").write_text(work.read("raw").name)

    raw = home.source("raw", {"raw.bin": b"raw"})
    home.derived("images", {"raw": "one"}, filler("images", FILES))
    home.source("raw", {"raw.bin": b"newer"})
    step = {"images": "one", "raw": "ancestor", "hints": "optional"}
    made = home.derived("joined", step, same)
    assert (home.store.path(made.ref) / "of").read_text() == raw.version


def test_a_merkle_version_stands_in_for_the_tree_hash(home: Home) -> None:
    root = merkle_root([b"row"])

    def build(work: Workspace) -> None:
        (work.out("rows") / "rows.bin").write_bytes(b"row")
        work.use_merkle_version("rows", root)

    made = home.run(Step("validated", ("rows",)), build)[0]
    assert (made.ref.version, made.record.rule) == (root, "merkle-rows-v1")
    home.store.verify(made.ref)


def test_a_failed_build_changes_nothing(home: Home) -> None:
    before = home.source("images", FILES)

    def fail(work: Workspace) -> None:
        (work.out("images") / "half.bin").write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        home.run(Step("raw", ("images",), seed=1), fail)
    assert home.store.pin("images") == before
    assert list((home.store.root / ".tmp").glob("[!.]*")) == []


def test_other_errors_of_the_disk_keep_their_name(home: Home) -> None:
    with pytest.raises(FileNotFoundError):
        home.run(Step("raw", ("images",)), lambda work: Path("/nonexistent/x").write_bytes(b""))
