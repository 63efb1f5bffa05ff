"""``mlops reproduce``: a model made again from raw bytes, beside the one that is served."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, to_stderr

if TYPE_CHECKING:
    from mlops_assets.lineage.graph import Artifact, Graph
    from mlops_assets.lineage.reproduce import Compared
    from mlops_assets.provenance.record import InputRef

SHORT: Final = 16
BATCHED: Final = ("validated_images", "quarantined_images")
WHOLE: Final = ("dataset", "training_shards", "trained_model", "model_evaluation",
                "exported_model")


class StepFailed(click.ClickException):
    """A step that once made an artifact could not make it here."""


@click.command(epilog="Example: mlops reproduce classifier/1")
@click.argument("model")
@click.option("--anyway", is_flag=True, help="Go on where something here is not as it was then.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Make it in this empty folder and leave it there (else a temporary one).")
@profile_option
@json_option
def reproduce(
    model: str, anyway: bool, keep: Path | None, profile: str | None, as_json: bool
) -> None:
    """Make a model again from its raw bytes and compare every version on the way.

    MODEL is a program hash or its beginning, a bento tag, or a registered version such as
    classifier/1. Raw bytes come from the store, or by DVC where they are not there. The exit code
    is 0 only when program and weights have the same SHA-256.
    """
    from mlops_assets.cli.provenance import open_graph
    from mlops_assets.lineage.reproduce import CanNotReproduce, differences
    from mlops_assets.lineage.subject import resolve

    home, graph = open_graph(profile)
    exported = resolve(home, graph, model).artifact
    if exported is None or exported.asset != "exported_model":
        raise CanNotReproduce(f"`{model}` names no model; see `mlops lineage {model}`")
    found = differences(graph, exported, *_present(profile))
    if found and not anyway:
        raise CanNotReproduce("; ".join(found) + ". With --anyway it is tried nevertheless")
    for line in found:
        to_stderr(f"differs: {line}")
    with _scratch(keep) as place:
        compared = list(Maker(graph, place, profile).make(exported))
    first = next((each for each in compared if not each.equal), None)
    program = graph.records[exported][0].files["model.onnx"]
    if as_json:
        print_json({"equal": first is None, "program_sha256": program, "differences": found,
                    "compared": [asdict(each) for each in compared]})
    elif first is None:
        click.echo(f"equal: the program made here has SHA-256 {program}")
    else:
        click.echo(f"not equal: the first that differs is {first.asset}: {first.why}")
    if first is not None:
        sys.exit(1)


def _present(profile: str | None) -> tuple[Any, dict[str, Any]]:
    from mlops_assets.cli.common import settings_of
    from mlops_assets.config import PROJECT_ROOT
    from mlops_assets.provenance.environment import read_code_state

    return (read_code_state(PROJECT_ROOT),
            settings_of(profile).training.model_dump(mode="json"))


@contextmanager
def _scratch(keep: Path | None) -> Iterator[Path]:
    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise click.BadParameter(f"{keep} is not empty", param_hint="--keep")
    with (nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory()) as place:
        yield Path(place)


class Maker:
    """Runs the graph in a home of its own."""

    def __init__(self, graph: Graph, home: Path, profile: str | None) -> None:
        import dagster as dg

        from mlops_assets.cli.common import settings_of
        from resources.mlflow import URI_VARIABLE, Tracking
        from resources.platform import Platform

        # What is tried here belongs into no shared registry.
        os.environ.pop(URI_VARIABLE, None)
        settings = settings_of(profile)
        self._graph: Final = graph
        self._name: Final = settings.release.model_name
        (home / "dagster").mkdir(parents=True)
        self._instance: Final = dg.DagsterInstance.ephemeral(tempdir=str(home / "dagster"))
        self._platform: Final = Platform(profile=settings.profile, home=str(home))
        self._tracking: Final = Tracking(home, settings.release.experiment)
        self._made: Final[dict[Artifact, InputRef]] = {}

    def make(self, exported: Artifact) -> Iterator[Compared]:
        """Everything behind a model, and it, each beside the version that is wanted."""
        from mlops_assets.lineage.reproduce import generations

        for each in generations(self._graph, exported):
            yield from self._generation(each)

    def _generation(self, exported: Artifact) -> Iterator[Compared]:
        from mlops_assets.lineage.reproduce import bring_raw, direct
        from resources.forgotten import forget
        from resources.released import release

        wanted = direct(self._graph, exported)
        (dataset,) = wanted["dataset"]
        for image in self._graph.records[dataset][0].config.get("forgotten", []):
            forget(self._platform.root, image, actor="reproduce", reason="was left out then")
        for artifact in wanted["validated_images"]:
            for record in self._graph.records[artifact]:
                for image in record.config.get("released", []):
                    release(self._platform.root, image, actor="reproduce", reason="was let in")
        for raw in wanted["raw_images"]:
            if raw not in self._made:
                for ref in bring_raw(self._graph, raw, self._platform.store):
                    self._made[raw] = ref
                    to_stderr(f"raw_images ({ref.partition}): whole, {ref.version[:SHORT]}")
                    self._instance.add_dynamic_partitions("batch", [str(ref.partition)])
            # Made anew for each generation: images may have been released meanwhile.
            for partition in {record.partition for record in self._graph.records[raw]}:
                self._run(BATCHED, partition)
        for artifact in wanted["validated_images"]:
            for record in self._graph.records[artifact]:
                yield self._compare(artifact, record.partition)
        self._crown(wanted["model_evaluation"][0])
        for asset in WHOLE:
            self._run((asset,), None)
            (artifact,) = wanted[asset]
            self._made[artifact] = self._platform.store.pin(asset)
            yield self._compare(artifact, None)

    def _crown(self, evaluation: Artifact) -> None:
        """Make the model that a candidate was judged against the champion, as it was then."""
        from resources.mlflow import CHAMPION

        for champion in self._graph.inputs(evaluation):
            if champion.asset == "exported_model":
                self._run(("registered_model",), None)
                found = self._tracking.by_alias(self._name, "challenger")
                if found is not None:
                    self._tracking.set_alias(found, CHAMPION)

    def _run(self, assets: tuple[str, ...], partition: str | None) -> None:
        import dagster as dg

        from mlops_assets.definitions import assets as everything

        result = dg.materialize(
            [each for each in everything if isinstance(each, dg.AssetsDefinition)],
            selection=dg.AssetSelection.assets(*assets),
            instance=self._instance, partition_key=partition, raise_on_error=False,
            resources={"platform": self._platform, "pipes": dg.PipesSubprocessClient()},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if not result.success:
            from mlops_assets.cli.launch import cause

            failed = next(event for event in result.all_events if event.is_step_failure)
            raise StepFailed(f"{' and '.join(assets)} can not be made here: {cause(failed)}")

    def _compare(self, artifact: Artifact, partition: str | None) -> Compared:
        from mlops_assets.lineage.reproduce import compare

        made = self._platform.store.pin(artifact.asset, partition)
        found = compare(self._graph, artifact, partition, made, self._platform.store)
        of = f" ({partition})" if partition else ""
        to_stderr(f"{artifact.asset}{of}: "
                  + (f"equal, {found.got[:SHORT]}" if found.equal else
                     f"DIFFERS, {found.wanted[:SHORT]} then, {found.got[:SHORT]} now"))
        return found

