"""A real MLflow as ``mlops up`` starts it, and a run in it, written over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from mlops_assets.config import PROJECT_ROOT
from tests.answering import answering
from tests.running import free_port

PAGE = b"<script>document.title = 'ran'</script><h1>kept</h1>"


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """Its address."""
    folder.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "deploy.mlflow_server",
               "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
               "--artifacts-destination", str(folder / "artifacts"),
               "--allowed-hosts", f"127.0.0.1:{port}", "--host", "127.0.0.1", "--port", str(port)]
    with answering(command, f"{url}/health", folder / "log", cwd=PROJECT_ROOT):
        yield url


def log_run(url: str) -> str:
    """The id of a run with a metric, and with a page of HTML, which has a script, kept by it."""
    with httpx.Client(base_url=f"{url}/api/2.0", timeout=60) as client:
        def post(path: str, **body: object) -> dict:
            answer = client.post(f"/mlflow/{path}", json=body)
            answer.raise_for_status()
            return answer.json()

        experiment = post("experiments/create", name="training")["experiment_id"]
        run = post("runs/create", experiment_id=experiment, run_name="first",
                   start_time=1)["run"]["info"]
        post("runs/log-metric", run_id=run["run_id"], key="accuracy", value=0.875, timestamp=1)
        place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        client.put(f"/mlflow-artifacts/artifacts/{place}/page.html",
                   content=PAGE).raise_for_status()
        return str(run["run_id"])
