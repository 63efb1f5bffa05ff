"""One step of the graph: pin inputs once, build in a scratch folder, commit, move the reference."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.summary import Summary
from mlops_assets.provenance.environment import read_code_state, read_hardware
from mlops_assets.provenance.hashing import (
    canonical_json,
    digest_files,
    sha256_bytes,
    sha256_json,
    source_sha256,
    tree_version,
)
from mlops_assets.provenance.record import InputRef, ProvenanceRecord
from resources.store import ArtifactStore, DamagedArtifact, MissingArtifact

GROUPS = ("raw", "validated", "features", "models", "releases", "monitoring")
CHECKS_FILE = "checks.json"
COMMON_SOURCES = ("mlops_assets/contracts", "mlops_assets/provenance", "resources/steps.py")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
Reading = Literal[
    "one", "same-partition", "every-partition", "any-partitions", "optional", "ancestor"
]


class StorageFull(PlatformError):
    """The disk has no room for an artifact."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step reads and makes. ``config`` is the part of the settings that it depends on.

    ``inputs`` maps an asset to how its version is found: the current one, that of the same
    partition, those of all partitions (at least one, or any number), or ``ancestor``: those that
    the other inputs were made from. ``pinned`` gives inputs whose version is known already, under
    names of their own. ``packs`` names further sources (folders or files) that become part of an
    output.
    """

    group: str
    outputs: tuple[str, ...]
    inputs: Mapping[str, Reading] = field(default_factory=dict)
    pinned: Mapping[str, InputRef] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    packs: tuple[str, ...] = ()

    def sources(self) -> tuple[str, ...]:
        """Code that can change the result: the step's group, those to its left, what it packs."""
        groups = GROUPS[: GROUPS.index(self.group) + 1]
        return (*COMMON_SOURCES, *(f"mlops_assets/{group}" for group in groups), *self.packs)


@dataclass(slots=True)
class Workspace:
    """What a build function is given: pinned inputs to read, folders to fill."""

    store: ArtifactStore
    partition: str | None
    run_id: str
    pins: dict[str, list[InputRef]]
    folder: Path
    step_key: str
    summaries: dict[str, Summary] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def read(self, asset: str) -> Path:
        """Folder of the single pinned version of an input.

        Raises:
            MissingArtifact: the input has no version, or several.
        """
        if len(self.pins[asset]) != 1:
            raise MissingArtifact(f"`{asset}` is pinned to {len(self.pins[asset])} versions, not 1")
        return self.store.path(self.pins[asset][0])

    def read_optional(self, asset: str) -> Path | None:
        """Like ``read``, or None when the optional input has no version yet."""
        return self.read(asset) if self.pins[asset] else None

    def read_every(self, asset: str) -> dict[str, Path]:
        """Partition key to folder, for each pinned partition of an input."""
        return {str(ref.partition): self.store.path(ref) for ref in self.pins[asset]}

    def input_summary(self, asset: str) -> Summary:
        """The summary beside the single pinned version of an input."""
        return self.store.summary(self.pins[asset][0])

    def may_go_on(self, asset: str) -> dict[str, bool]:
        """Partition key to whether all blocking checks passed, for each partition of an input."""
        allowed: dict[str, bool] = {}
        for partition, folder in self.read_every(asset).items():
            checks = json.loads((folder / CHECKS_FILE).read_bytes())
            allowed[partition] = all(each["passed"] or not each["blocking"] for each in checks)
        return allowed

    def out(self, asset: str) -> Path:
        """The folder to fill for one output."""
        folder = self.folder / asset
        folder.mkdir(exist_ok=True)
        return folder

    def summary(self, asset: str) -> Summary:
        """The summary of one output, to be filled."""
        return self.summaries.setdefault(asset, Summary())

    def write_checks(self, asset: str) -> None:
        """Keep the verdicts in the artifact itself: another verdict is another version."""
        checks = [outcome.model_dump(include={"name", "passed", "blocking"})
                  for outcome in self.summary(asset).checks]
        if checks:
            (self.out(asset) / CHECKS_FILE).write_bytes(canonical_json(checks))

    def use_merkle_version(self, asset: str, root: str) -> None:
        """Give an output the Merkle root over its rows as version, in place of the tree hash."""
        self.versions[asset] = root


@dataclass(frozen=True, slots=True)
class StepResult:
    """One materialized output."""

    ref: InputRef
    record: ProvenanceRecord
    summary: Summary
    reused: bool


def parent_of(store: ArtifactStore, ref: InputRef, asset: str) -> InputRef:
    """The version of ``asset`` that ``ref`` itself was made from.

    Raises:
        MissingArtifact: it read none, or several.
    """
    found = [parent for parent in store.verify(ref).inputs if parent.asset == asset]
    if len(found) != 1:
        raise MissingArtifact(f"`{ref.asset}` {ref.version[:16]} was made from {len(found)} "
                              f"versions of `{asset}`, not 1")
    return found[0]


def find_ancestors(store: ArtifactStore, asset: str, refs: Iterable[InputRef]) -> list[InputRef]:
    """The versions of ``asset`` that ``refs`` were made from, by their records, any depth up."""
    found: set[InputRef] = set()
    waiting, seen = list(refs), set(refs)
    while waiting:
        for parent in store.verify(waiting.pop()).inputs:
            if parent.asset == asset:
                found.add(parent)
            elif parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return sorted(found, key=str)


def pin_inputs(
    store: ArtifactStore, step: Step, partition: str | None
) -> dict[str, list[InputRef]]:
    """Resolve and verify every input, once.

    Raises:
        MissingArtifact: a required input has no version.
        DamagedArtifact: an input's bytes are not what its hash names.
    """
    pins: dict[str, list[InputRef]] = {name: [ref] for name, ref in step.pinned.items()}
    ancestors = [asset for asset, reading in step.inputs.items() if reading == "ancestor"]
    for asset, reading in step.inputs.items():
        if reading in ("every-partition", "any-partitions"):
            pins[asset] = store.pin_all(asset)
            if not pins[asset] and reading == "every-partition":
                raise MissingArtifact(f"`{asset}` has no partition yet; materialize one first")
        elif reading == "optional":
            ref = store.current(asset)
            pins[asset] = [] if ref is None else [ref]
        elif reading != "ancestor":
            pins[asset] = [store.pin(asset, partition if reading == "same-partition" else None)]
    near = [ref for refs in pins.values() for ref in refs]
    pins |= {asset: find_ancestors(store, asset, near) for asset in ancestors}
    for refs in pins.values():
        for ref in refs:
            store.verify(ref)
    return pins


def _recalled(store: ArtifactStore, step_key: str, partition: str | None) -> list[StepResult]:
    results: list[StepResult] = []
    for asset, (version, record_sha256) in (store.recall(step_key) or {}).items():
        ref = InputRef(asset=asset, partition=partition, version=version)
        try:
            store.verify(ref)
            record = store.record(asset, record_sha256)
        except (MissingArtifact, DamagedArtifact):
            return []
        if (record.version, record.step_key) != (version, step_key):
            return []
        results.append(StepResult(ref, record, store.summary(ref), reused=True))
    return results


def run_step(
    store: ArtifactStore,
    step: Step,
    build: Callable[[Workspace], None],
    *,
    project_root: Path,
    run_id: str,
    partition: str | None = None,
    finalize: Callable[[StepResult], None] | None = None,
) -> list[StepResult]:
    """Materialize a step's outputs, or reuse what the same inputs, code and config gave before.

    ``finalize`` runs after a commit and before the reference moves (DVC tracking).

    Raises:
        MissingArtifact, DamagedArtifact: see ``pin_inputs``.
        StorageFull: the disk is full; nothing current has changed.
    """
    code = read_code_state(project_root)
    pins = pin_inputs(store, step, partition)
    refs = sorted((ref for each in pins.values() for ref in each), key=str)
    hardware = asdict(read_hardware(threads=step.threads, device=step.device))
    config = dict(step.config)
    facts: dict[str, Any] = {
        "source_sha256": source_sha256(project_root, step.sources()),
        "lock_sha256": code.lock_sha256, "config_sha256": sha256_json(config),
        "seed": step.seed, "hardware": hardware,
    }
    step_key = sha256_json({
        "outputs": step.outputs, "partition": partition, **facts,
        "inputs": [ref.model_dump() for ref in refs],
    })
    results = _recalled(store, step_key, partition)
    with _full_disk_named(store, step.outputs[0]):
        if not results:
            results = _build(
                store, step, build,
                pins=pins, run_id=run_id, partition=partition, step_key=step_key,
                facts={
                    **facts, "inputs": refs, "config": config, "code_commit": code.commit,
                    "code_dirty": code.dirty, "dagster_run_id": run_id, "step_key": step_key,
                },
            )
        for result in results:
            if finalize is not None:
                finalize(result)
            store.set_current(result.ref)
        if not results[0].reused:
            store.remember(step_key, {
                each.ref.asset: (each.ref.version, each.record.sha256) for each in results
            })
    return results


@contextmanager
def _full_disk_named(store: ArtifactStore, asset: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(store.root).free
        # numpy says only how much it wrote; the scratch folder is gone again by now.
        short_write = error.errno is None and "requested and" in str(error)
        if error.errno not in FULL and not short_write:
            raise
        raise StorageFull(
            f"no room in {store.root} for `{asset}` ({free >> 20} MiB free); free some space or "
            "set PLATFORM_HOME to a larger disk, then materialize again; what was there is whole"
        ) from error


def _build(
    store: ArtifactStore,
    step: Step,
    build: Callable[[Workspace], None],
    *,
    pins: dict[str, list[InputRef]],
    run_id: str,
    partition: str | None,
    step_key: str,
    facts: Mapping[str, Any],
) -> list[StepResult]:
    with store.scratch() as folder:
        work = Workspace(store, partition, run_id, pins, folder, step_key)
        build(work)
        return [_commit(work, asset, facts) for asset in step.outputs]


def _commit(work: Workspace, asset: str, facts: Mapping[str, Any]) -> StepResult:
    work.write_checks(asset)
    files = digest_files(work.out(asset))
    summary = work.summary(asset)
    record = ProvenanceRecord(
        asset=asset,
        partition=work.partition,
        version=work.versions.get(asset) or tree_version(files),
        rule="merkle-rows-v1" if asset in work.versions else "tree-v1",
        files=files,
        summary_sha256=sha256_bytes(canonical_json(summary.model_dump(mode="json"))),
        created_at=datetime.now(UTC),
        **facts,
    )
    work.store.commit(work.out(asset), record, summary)
    ref = InputRef(asset=asset, partition=work.partition, version=record.version)
    return StepResult(ref, record, summary, reused=False)
