"""The servers that are compared: how each is installed, started and asked."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks.environments import install
from benchmarks.serving.load import Kind, encode

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
PEERS: Final = HERE / "peers"
READY_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Server:
    """One server. ``command`` may name ``{port}``, ``{python}`` and ``{scratch}``."""

    name: str
    environment: str
    command: tuple[str, ...]
    path: str = "/predict"
    kind: Kind = "raw"
    backend: str = "onnx"
    variables: dict[str, str] = field(default_factory=dict)


def _uvicorn(app: str) -> tuple[str, ...]:
    return ("{python}", "-m", "uvicorn", f"{app}:app", "--host", "127.0.0.1", "--port", "{port}",
            "--no-access-log", "--log-level", "warning")


NAIVE: Final = "FastAPI, naive"
# No peer by itself: it has the program that our export makes, which shows what the rest is worth.
WITH_OURS: Final = "FastAPI, batched, our program"
OURS: Final = "mlops-assets"
SERVERS: Final = (
    Server(OURS, "own", (
        "{python}", "-m", "bentoml", "serve", "bentos.service:Classifier", "--host", "127.0.0.1",
        "--port", "{port}"), path="/v1/predict"),
    Server(NAIVE, "web", _uvicorn("fastapi_naive"), kind="multipart", backend="eager"),
    Server("FastAPI, batched, eager", "web", _uvicorn("fastapi_batched"), backend="eager"),
    Server("FastAPI, batched, ONNX", "web", _uvicorn("fastapi_batched")),
    Server(WITH_OURS, "web", _uvicorn("fastapi_batched"),
           variables={"PEER_PROGRAM": "batched.onnx"}),
    Server("LitServe, ONNX", "web", ("{python}", "litserve_app.py"), kind="json"),
    Server("mlflow models serve, ONNX", "own", (
        "{python}", "-m", "mlflow", "models", "serve", "-m", "{scratch}/mlflow", "--env-manager",
        "local", "-h", "127.0.0.1", "-p", "{port}"), path="/invocations", kind="mlflow"),
    Server("MLServer, ONNX", "mlserver", ("{scripts}/mlserver", "start", "{scratch}/mlserver"),
           path="/v2/models/classifier/infer", kind="v2"),
    Server("Ray Serve, ONNX", "ray", (
        "{python}", "-m", "ray.serve.scripts", "run", "ray_app:app", "--route-prefix", "/predict"),
        path="/predict"),
    Server("BentoML, batchable, ONNX", "own", (
        "{python}", "-m", "bentoml", "serve", "bentoml_batchable:Peer", "--host", "127.0.0.1",
        "--port", "{port}"), kind="json"),
)


def python_of(environment: str) -> Path:
    """The Python of an environment, made from ``peers/<environment>.txt`` on first use."""
    own = environment == "own"
    return Path(sys.executable) if own else install(PEERS / f"{environment}.txt")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _prepare(server: Server, scratch: Path, port: int) -> None:
    if server.name.startswith("mlflow") and not (scratch / "mlflow").exists():
        subprocess.run([sys.executable, PEERS / "mlflow_save.py", scratch / "mlflow"], check=True,
                       cwd=PEERS, capture_output=True)
    if server.name.startswith("MLServer"):
        folder = scratch / "mlserver"
        folder.mkdir(exist_ok=True)
        metrics, grpc = free_port(), free_port()
        (folder / "settings.json").write_text(
            f'{{"host": "127.0.0.1", "http_port": {port}, "grpc_port": {grpc}, '
            f'"metrics_port": {metrics}, "debug": false, "parallel_workers": 0}}')
        (folder / "model-settings.json").write_text(
            '{"name": "classifier", "implementation": "mlserver_runtime.Classifier", '
            '"max_batch_size": 32, "max_batch_time": 0.002}')


@contextmanager
def running(
    server: Server, model: Path, scratch: Path, image: bytes, **variables: str
) -> Iterator[tuple[str, psutil.Process]]:
    """Address and root process of a server that answers; nothing of it is left afterwards.

    Raises:
        RuntimeError: it does not answer in time; the message has the end of its log.
    """
    port, python = free_port(), python_of(server.environment)
    _prepare(server, scratch, port)
    home = scratch / f"home-{port}"
    home.mkdir()
    own = server.name == OURS
    values = {"port": str(port), "python": str(python), "scratch": str(scratch),
              "scripts": str(python.parent)}
    command = [word.format(**values) for word in server.command]
    environment = os.environ | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PORT": str(port),
        "MODEL_DIR": str(model), "MLOPS_MODEL_DIR": str(model), "PEER_BACKEND": server.backend,
        "PLATFORM_HOME": str(home), "BENTOML_HOME": str(home / "bentoml"), "HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1",
        "RAY_SERVE_DEFAULT_HTTP_PORT": str(port), "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": str(ROOT if own else PEERS),
        **server.variables, **variables,
    }
    if server.name.startswith("Ray"):
        (home / "serve.yaml").write_text(
            f"http_options: {{host: 127.0.0.1, port: {port}}}\n"
            "applications: [{name: a, route_prefix: /predict, import_path: 'ray_app:app'}]\n")
        command = [str(python), "-m", "ray.serve.scripts", "run", str(home / "serve.yaml")]
    log = scratch / f"{port}.log"
    with log.open("wb") as output:
        started = subprocess.Popen(command, cwd=ROOT if own else PEERS, env=environment,
                                   stdout=output, stderr=output, start_new_session=True)
    root = psutil.Process(started.pid)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(server, url, image, started, log, variables.get("BENCH_KEY"))
        yield url, root
    finally:
        _stop(root, home)


def _wait(
    server: Server, url: str, image: bytes, started: subprocess.Popen[bytes], log: Path,
    key: str | None,
) -> None:
    from benchmarks.serving.load import TYPES

    headers = {"content-type": TYPES[server.kind]}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    until = time.monotonic() + READY_SECONDS
    said = ""
    while time.monotonic() < until and started.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.post(url + server.path, content=encode(image, server.kind),
                                headers=headers, timeout=10)
            if answer.status_code == 200:
                return
            said = answer.text[:300]
        time.sleep(0.3)
    raise RuntimeError(f"{server.name} does not answer: {said}\n{log.read_text()[-3000:]}")


def _stop(root: psutil.Process, home: Path) -> None:
    family = [root, *root.children(recursive=True)] if root.is_running() else []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PLATFORM_HOME") == str(home) and process not in family:
                family.append(process)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stay = psutil.wait_procs(family, timeout=10)
    for process in stay:
        with contextlib.suppress(psutil.Error):
            process.kill()
