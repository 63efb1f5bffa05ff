"""``mlops demo``: from raw images to a served, monitored model, and its links."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from mlops_assets.cli.common import (
    interruptible,
    json_option,
    print_json,
    profile_option,
    to_stderr,
    uninterrupted,
)
from mlops_assets.cli.platform import open_machine

if TYPE_CHECKING:
    from deploy.machine import Machine
    from mlops_assets.cli.runs import RunReport
    from mlops_assets.cli.traffic import Traffic

INTERRUPTED: Final = 130
IMAGES: Final = 200
PHASES: Final = (
    ("data", "fetch the images and check their hashes"),
    ("platform", "start Dagster and MLflow under a supervisor"),
    ("graph", "materialize every asset: data, features, model, gate, release"),
    ("service", "serve the released bento"),
    ("predictions", f"send {IMAGES} real images over HTTP, then their true labels"),
    ("monitoring", "bring the predictions back into the graph: drift and performance"),
)


@dataclass(slots=True)
class Demo:
    """One walk through the phases, with their times."""

    machine: Machine
    began: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """A line with the time since the start."""
        to_stderr(f"{time.monotonic() - self.began:6.1f} s  {line}")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announce a phase and take its time."""
        names = [each for each, _ in PHASES]
        self.say(f"{names.index(name) + 1}/{len(names)} {name}")
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    def fetch(self) -> None:
        """Phase 1. Own images are where they are."""
        from mlops_assets.raw.fetch import fetch_dataset

        dataset = self.machine.settings.dataset
        if dataset.source == "torchvision":
            fetch_dataset(dataset.name, dataset.path, log=self.say)
        else:
            self.say(f"own images in {dataset.root}")

    def materialize(self) -> tuple[RunReport, str]:
        """Phases 2 and 3. The run is queued as soon as Dagster takes it."""
        from mlops_assets.cli.runs import follow_run
        from resources.dagster_api import DagsterApi

        batch = self.machine.settings.dataset.batch
        with self.phase("platform"):
            self.machine.up(self.say, wait_for=("webserver",))
            web = f"http://{self.machine.settings.platform.host}:{self.machine.ports.dagster}"
        with self.phase("graph"), closing(DagsterApi(web)) as api:
            api.ensure_partition("batch", batch)
            run = api.launch("materialize_all", batch)
            self.say(f"{web}/runs/{run}")
            self.machine.wait(("code", "daemon", "mlflow"), self.say)
            return follow_run(api, run, self.say), web

    def predict(self) -> Traffic:
        """Phases 4 and 5."""
        from mlops_assets.cli.traffic import sample_images, send_labels, send_traffic
        from resources.service_api import ServiceApi

        settings = self.machine.settings
        with self.phase("service"):
            self.machine.serve(self.say)
            self.machine.wait(self.machine.beside(), self.say)
        url = f"http://{settings.platform.host}:{self.machine.ports.service}"
        with self.phase("predictions"), closing(ServiceApi(url)) as api:
            images = sample_images(settings.home, settings.dataset.batch, IMAGES)
            traffic = send_traffic(api, images)
            send_labels(api, traffic)
        return traffic

    def monitor(self, web: str, traffic: Traffic) -> RunReport:
        """Phase 6: one run for each hour touched, then the reports over all hours."""
        from mlops_assets.cli.runs import RunReport, follow_run
        from resources.dagster_api import DagsterApi

        total = RunReport("")
        with self.phase("monitoring"), closing(DagsterApi(web)) as api:
            for hour in traffic.hours:
                report = follow_run(api, api.launch("monitor_hour", hour), self.say)
                total.assets |= report.assets
        return total


def _result(demo: Demo, graph: RunReport, traffic: Traffic, monitor: RunReport) -> dict[str, Any]:
    from deploy.layout import Layout

    settings, ports = demo.machine.settings, demo.machine.ports
    host, layout = settings.platform.host, Layout(settings.home)
    answer = traffic.answers[0]
    return {
        "test_accuracy": graph.assets.get("model_evaluation", {}).get("accuracy"),
        "served_accuracy": traffic.accuracy,
        "predictions": len(traffic.answers),
        "answer": {**answer.model_dump(), "true_label": traffic.images[0].label},
        "assets": len(graph.assets), "reused": graph.reused,
        "monitored": sorted(monitor.assets),
        "seconds": {**demo.seconds, "total": round(time.monotonic() - demo.began, 1)},
        "links": {
            "asset graph": f"http://{host}:{ports.dagster}/asset-groups",
            "experiment": _experiment(f"http://{host}:{ports.mlflow}", settings.release.experiment),
            "service": f"http://{host}:{ports.service}",
            "console": f"http://{host}:{ports.console}",
            **({"alarms": f"http://{host}:{ports.prometheus}"} if ports.prometheus else {}),
            "journal": str(layout.journal),
        },
    }


def _experiment(url: str, name: str) -> str:
    """Page of an MLflow experiment, or the list of all when it is not found."""
    import httpx

    try:
        found = httpx.get(
            f"{url}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name}
        ).json()
        return f"{url}/#/experiments/{found['experiment']['experiment_id']}"
    except (httpx.HTTPError, ValueError, KeyError):
        return f"{url}/#/experiments"


def _print(result: dict[str, Any]) -> None:
    answer, seconds = result["answer"], result["seconds"]
    accuracy = result["test_accuracy"]
    click.echo("")
    click.echo(f"accuracy    {accuracy:.4f} on the held-out test images" if accuracy is not None
               else "accuracy    not reported by model_evaluation")
    click.echo(f"served      {result['predictions']} images over HTTP, "
               f"{result['served_accuracy']:.1%} right")
    click.echo(f"an answer   {answer['label']} ({answer['confidence']:.1%}), truly "
               f"{answer['true_label']}, by {answer['model']['name']} "
               f"{answer['model']['version']}")
    click.echo(f"its origin  mlops lineage {answer['prediction_id']}")
    click.echo(f"assets      {result['reused']} of {result['assets']} reused")
    for name, link in result["links"].items():
        click.echo(f"{name:12}{link}")
    click.echo("seconds     " + ", ".join(f"{name} {value}" for name, value in seconds.items()))
    click.echo("")
    click.echo("the platform goes on running; `make down` (or `mlops down`) stops it")


@click.command(epilog="Example: mlops demo --profile demo")
@profile_option
@json_option
def demo(profile: str | None, as_json: bool) -> None:
    """Walk from raw images to a served and monitored model, and print what came out.

    Leaves the platform running. Run again, it reuses what has not changed. Ctrl-C stops
    everything.
    """
    machine = open_machine(profile)
    walk = Demo(machine)
    for number, (name, what) in enumerate(PHASES, start=1):
        to_stderr(f"  {number}. {name:12} {what}")
    try:
        with interruptible():
            with walk.phase("data"):
                walk.fetch()
            graph, web = walk.materialize()
            traffic = walk.predict()
            monitor = walk.monitor(web, traffic)
            result = _result(walk, graph, traffic, monitor)
    except KeyboardInterrupt:
        to_stderr("interrupted; stopping everything")
        with uninterrupted():
            machine.down()
        sys.exit(INTERRUPTED)
    if as_json:
        print_json(result)
    else:
        _print(result)
