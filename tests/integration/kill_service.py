"""Serves the application in a forked process each time a line arrives; ``FOLDER`` has the model.

Imports are done once, so that hundreds of processes can be killed in a minute.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from bentos.access import AccessSettings, Gate
from bentos.app import App
from bentos.edge import Edge
from bentos.predictor import Predictor
from bentos.request_log import RequestLog
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings


async def serve(listener: socket.socket, folder: Path) -> None:
    gate = Gate(AccessSettings(auth="off"), database_url="sqlite://")
    app = App(gate, RequestLog("off"))
    app.predictor = Predictor(
        Runtime(folder / "model", threads=1), journal_dir=folder / "journal",
        images_dir=folder / "requests", bento_tag="dev",
        settings=ServiceSettings(max_wait=30, keep_share=0.2))
    edge = Edge(Starlette(), own=app, gate=gate, json_path="/predict", max_json_bytes=1000,
                body_timeout=15.0)
    config = uvicorn.Config(edge, log_level="warning", lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    folder = Path(sys.argv[1])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(serve(listener, folder))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
