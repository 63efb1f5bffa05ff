"""MLflow: one run a training, found again by its tags, and the registry with its aliases."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops_assets.contracts.errors import PlatformError

URI_VARIABLE: Final = "MLFLOW_TRACKING_URI"
CHAMPION, CHALLENGER = "champion", "challenger"
EXPORTED_TAG: Final = "mlops.exported_model"
PROGRAM_TAG: Final = "mlops.program_sha256"


class MlflowError(PlatformError):
    """MLflow can not be reached or refuses."""

    transient = True


@dataclass(frozen=True, slots=True)
class StepContext:
    """What ``dagster_mlflow.MlFlow`` reads of a Dagster context."""

    log: Any
    dagster_run: Any
    run_id: str
    resource_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version in the registry; ``exported_model`` is the version of the artifact."""

    name: str
    version: str
    exported_model: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """A tracking server, or the embedded SQLite store below ``home`` when none is configured."""

    home: Path
    experiment: str

    @property
    def uri(self) -> str:
        """``MLFLOW_TRACKING_URI``, or the embedded store."""
        if uri := os.environ.get(URI_VARIABLE):
            return uri
        (self.home / "mlflow").mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    def page(self, run_id: str) -> str | None:
        """Address of a run in MLflow's UI; None with the embedded store, which has none."""
        if not self.uri.startswith("http"):
            return None
        experiment = self.client().get_run(run_id).info.experiment_id
        return f"{self.uri}/#/experiments/{experiment}/runs/{run_id}"

    def client(self) -> Any:
        """An ``MlflowClient``; the experiment is there afterwards.

        Raises:
            MlflowError: the server does not answer.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        client = mlflow.MlflowClient(self.uri, self.uri)
        try:
            if client.get_experiment_by_name(self.experiment) is None:
                embedded = self.uri.startswith("sqlite:")
                place = (self.home / "mlflow" / "artifacts").as_uri() if embedded else None
                client.create_experiment(self.experiment, artifact_location=place)
        except MlflowException as error:
            raise MlflowError(
                f"MLflow at {self.uri} does not answer: {' '.join(str(error).split())[:200]}; "
                f"start it with `mlops up`, or unset {URI_VARIABLE}"
            ) from error
        return client

    @contextmanager
    def run(self, context: Any, *, asset: str, tags: Mapping[str, str]) -> Iterator[str]:
        """The MLflow run of one step; a retry of the same step goes on with it.

        ``context`` is the step's Dagster context. dagster-mlflow makes the run the active one
        and tags it; its end state is set here, as its own hook misses failed steps.

        Yields:
            The id of the MLflow run.
        """
        import mlflow

        client = self.client()
        wanted = {
            "dagster.root_run_id": context.run.root_run_id or context.run.run_id,
            "dagster.asset_key": asset,
        }
        found = self._find(client, wanted)
        # mlflow.start_run continues a finished run only after it is set to running again.
        if found is not None:
            client.update_run(found, status="RUNNING")
        tracking = _open_run(StepContext(
            log=context.log, dagster_run=context.run, run_id=context.run.run_id,
            resource_config={
                "experiment_name": self.experiment, "mlflow_tracking_uri": self.uri,
                "mlflow_run_id": found, "parent_run_id": None, "env": {}, "env_to_tag": [],
                "extra_tags": {**wanted, **tags},
            },
        ))
        status = "FAILED"
        try:
            active = mlflow.active_run()
            if active is None:
                raise MlflowError(f"MLflow at {tracking.tracking_uri} opened no run")
            yield active.info.run_id
            status = "FINISHED"
        finally:
            mlflow.end_run(status=status)

    def _find(self, client: Any, tags: Mapping[str, str]) -> str | None:
        experiment = client.get_experiment_by_name(self.experiment)
        terms = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        runs = client.search_runs([experiment.experiment_id], filter_string=terms, max_results=1)
        return runs[0].info.run_id if runs else None

    def register(self, name: str, *, exported_model: str, run_id: str,
                 artifact_path: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """The registry's version for an exported model; made once, then found by its tag."""
        client = self.client()
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(EXPORTED_TAG) == exported_model:
                return RegisteredVersion(name, str(version.version), exported_model,
                                         version.run_id)
        source = f"{client.get_run(run_id).info.artifact_uri}/{artifact_path}"
        made = client.create_model_version(
            name, source, run_id, tags={EXPORTED_TAG: exported_model, **tags}
        )
        return RegisteredVersion(name, str(made.version), exported_model, run_id)

    def set_alias(self, version: RegisteredVersion, alias: str) -> None:
        """Give a version the alias ``champion`` or ``challenger``; another loses it."""
        self.client().set_registered_model_alias(version.name, alias, version.version)

    def drop_alias(self, name: str, alias: str) -> None:
        """Take an alias away, if there is such a model."""
        client = self.client()
        if client.search_registered_models(f"name = '{name}'"):
            client.delete_registered_model_alias(name, alias)

    def by_program(self, name: str, program_sha256: str) -> RegisteredVersion | None:
        """The version whose exported program has this hash, or None."""
        for version in self.client().search_model_versions(f"name = '{name}'"):
            if version.tags.get(PROGRAM_TAG) == program_sha256:
                return RegisteredVersion(name, str(version.version), version.tags[EXPORTED_TAG],
                                         version.run_id)
        return None

    def by_alias(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version with this alias, or None."""
        client = self.client()
        models = client.search_registered_models(f"name = '{name}'")
        number = models[0].aliases.get(alias) if models else None
        if number is None:
            return None
        version = client.get_model_version(name, number)
        return RegisteredVersion(name, str(number), version.tags[EXPORTED_TAG], version.run_id)


def _open_run(context: StepContext) -> Any:
    """dagster-mlflow's client with an active run; its beta mark is known, and pinned."""
    import dagster as dg

    configured = os.environ.get(URI_VARIABLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            from dagster_mlflow.resources import MlFlow

            return MlFlow(context)  # type: ignore[no-untyped-call]
    finally:
        # It sets MLflow's variable for the whole process, where it would stand for a setting.
        if configured is None:
            os.environ.pop(URI_VARIABLE, None)
