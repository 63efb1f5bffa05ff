"""An upstream asset changes while a step runs: the record still names what the step read.

Each run forces one interleaving: at a named point of the downstream step, another thread
materializes upstream assets anew, to its end, before the step goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from mlops_assets.contracts.summary import Summary
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.provenance.record import InputRef, ProvenanceRecord
from resources.steps import StepResult, Workspace
from resources.store import ArtifactStore, Steps
from tests.small_store import Home

POINTS: Final = (
    "before-pin", "between-pins", "before-verify", "between-verifies", "before-read",
    "during-read", "between-reads", "before-commit", "before-set-current", "before-remember",
)
CHANGES: Final = (("left",), ("right",), ("left", "right"), ("left", "left"))
SEEDS: Final = range(6)
Seen = dict[str, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class GatedStore(ArtifactStore):
    """The real store, which stops at the gate before each thing it does."""

    gate: Callable[[str], None]

    def current(self, asset: str, partition: str | None = None) -> InputRef | None:
        self.gate({"left": "before-pin", "right": "between-pins"}[asset])
        return super().current(asset, partition)

    def verify(self, ref: InputRef) -> ProvenanceRecord:
        self.gate({"left": "before-verify", "right": "between-verifies"}.get(ref.asset, ""))
        return super().verify(ref)

    def commit(self, folder: Path, record: ProvenanceRecord, summary: Summary) -> None:
        self.gate("before-commit")
        super().commit(folder, record, summary)

    def set_current(self, ref: InputRef) -> None:
        self.gate("before-set-current")
        super().set_current(ref)

    def remember(self, step_key: str, outputs: Steps) -> None:
        self.gate("before-remember")
        super().remember(step_key, outputs)


def content(asset: str, number: int) -> dict[str, bytes]:
    """Two files of equal size for every number, so that only bytes tell versions apart."""
    return {name: f"{asset} {name} {number:08d} ".encode() * 40 for name in ("a.bin", "b.bin")}


def read_slowly(work: Workspace, gate: Callable[[str], None], seen: Seen) -> None:
    """Read all of both inputs, stopping at the gate, and keep the hash of every file read."""
    gate("before-read")
    for asset in ("left", "right"):
        for path in sorted(work.read(asset).iterdir()):
            if path.suffix == ".bin":
                with path.open("rb") as file:
                    head = file.read(100)
                    gate("during-read")
                    body = head + file.read()
                seen.setdefault(asset, {})[path.name] = sha256_bytes(body)
                (work.out("joined") / f"{asset}-{path.name}").write_bytes(body)
        gate("between-reads")


def check(home: Home, made: StepResult, seen: Seen) -> dict[str, str]:
    """The record names one version of each input, whose files are exactly those read."""
    named = {ref.asset: ref for ref in made.record.inputs}
    assert sorted(ref.asset for ref in made.record.inputs) == ["left", "right"]
    for asset, ref in named.items():
        assert home.store.verify(ref).files == seen[asset]
        home.store.verify(home.store.pin(asset))
    assert home.store.verify(made.ref).files == {
        f"{asset}-{name}": sha for asset, files in seen.items() for name, sha in files.items()
    }
    return {asset: ref.version for asset, ref in named.items()}


@pytest.fixture
def home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Home(tmp_path)


@pytest.mark.parametrize("changed", CHANGES, ids="-".join)
@pytest.mark.parametrize("point", POINTS)
def test_record_names_what_was_read(home: Home, point: str, changed: tuple[str, ...]) -> None:
    """240 forced runs in all. Odd seeds go back to content that was current before."""
    for asset in ("left", "right"):
        home.source(asset, content(asset, 0))
    for seed in SEEDS:
        before = {asset: home.store.pin(asset).version for asset in ("left", "right")}
        opened: list[str] = []

        def change(seed: int = seed) -> None:
            for times, asset in enumerate(changed):
                number = 0 if seed % 2 and not times else 100 * seed + times + 1
                home.source(asset, content(asset, number))

        def gate(name: str, opened: list[str] = opened, change: Callable[[], None] = change
                 ) -> None:
            if name == point and not opened:
                opened.append(name)
                other = threading.Thread(target=change)
                other.start()
                other.join()

        seen: Seen = {}
        made = home.derived(
            "joined", {"left": "one", "right": "one"},
            lambda work, gate=gate, seen=seen: read_slowly(work, gate, seen), seed=seed,
            store=GatedStore(home.store.root, gate=gate),
        )
        named = check(home, made, seen)
        after = {asset: home.store.pin(asset).version for asset in ("left", "right")}
        assert opened == [point]
        assert all(before[asset] != after[asset] for asset in changed)
        early = {"before-pin": {"left", "right"}, "between-pins": {"right"}}.get(point, set())
        assert named == {asset: (after if asset in early else before)[asset] for asset in named}


def churn(home: Home) -> None:
    """Runs in another process: materializes both inputs anew until it is killed."""
    number = 1
    while True:
        for asset in ("left", "right"):
            home.source(asset, content(asset, number))
        number = number % 7 + 1
        os.write(1, b"round\n")


def test_record_names_what_was_read_while_another_process_never_rests(home: Home) -> None:
    for asset in ("left", "right"):
        home.source(asset, content(asset, 0))
    script = ("import sys; from tests.unit.test_interleaving import *; "
              "churn(Home(Path(sys.argv[1])))")
    command = [sys.executable, "-c", script, str(home.folder)]
    versions: set[str] = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as other:
        assert other.stdout is not None
        for seed in range(25):
            other.stdout.readline()
            seen: Seen = {}
            made = home.derived(
                "joined", {"left": "one", "right": "one"},
                lambda work, seen=seen: read_slowly(work, lambda _: None, seen), seed=seed,
            )
            versions |= {*check(home, made, seen).values()}
        other.kill()
    assert len(versions) > 4


def test_partitions_pinned_together_are_those_read(home: Home) -> None:
    for day in ("one", "two"):
        home.source("left", content("left", 1), partition=day)
    seen: Seen = {}

    def build(work: Workspace) -> None:
        home.source("left", content("left", 2), partition="two")
        home.source("left", content("left", 3), partition="three")
        for day, folder in work.read_every("left").items():
            seen[day] = {path.name: sha256_bytes(path.read_bytes())
                         for path in folder.glob("*.bin")}
        (work.out("joined") / "days").write_text(", ".join(seen))

    made = home.derived("joined", {"left": "every-partition"}, build)
    assert [ref.partition for ref in made.record.inputs] == list(seen) == ["one", "two"]
    for ref in made.record.inputs:
        assert home.store.verify(ref).files == seen[str(ref.partition)]
    assert home.store.pin("left", "two").version != made.record.inputs[1].version
