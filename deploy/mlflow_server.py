"""MLflow's tracking server in one process.

``mlflow server`` imports MLflow twice, in a parent that only waits and in its worker; that costs
a laptop ten seconds and 300 MB. This runs the same application, with the same settings, once.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from prometheus_client import start_http_server

from deploy.mlflow_metrics import REGISTRY, Measured
from resources.data_services import (
    ARTIFACTS,
    MLFLOW_DATABASE,
    artifacts_url,
    database_url,
    migrating,
)


def upgrade(uri: str) -> None:
    """Bring the schema of a database up to date, one process at a time.

    A fresh SQLite database is made by the server itself, in less time.
    """
    import sqlalchemy
    from mlflow.store.db import utils

    url = sqlalchemy.make_url(uri)
    embedded = url.get_backend_name() == "sqlite"
    if embedded and not (url.database and Path(url.database).is_file()):
        return
    engine = sqlalchemy.create_engine(uri)
    try:
        with migrating(uri):
            if sqlalchemy.inspect(engine).has_table("alembic_version"):
                utils._upgrade_db(engine)  # type: ignore[no-untyped-call]
            elif not embedded:
                utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def chosen(argument: str | None, place: str | None, option: str, variable: str) -> str:
    """What was given as argument, else what a variable names."""
    if found := argument or place:
        return found
    sys.exit(f"mlflow_server: give {option}, or set {variable}")


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend-store-uri", help=f"else {MLFLOW_DATABASE}")
    parser.add_argument("--artifacts-destination", help=f"else mlflow/ below {ARTIFACTS}")
    parser.add_argument("--allowed-hosts", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, default=0,
                        help="tell metrics here too, to who may not reach the rest")
    options = parser.parse_args()
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = options.allowed_hosts

    import uvicorn
    from mlflow.server import constants, handlers

    uri = chosen(options.backend_store_uri, database_url(MLFLOW_DATABASE),
                 "--backend-store-uri", MLFLOW_DATABASE)
    artifacts = chosen(options.artifacts_destination, artifacts_url("mlflow"),
                       "--artifacts-destination", ARTIFACTS)
    root = "mlflow-artifacts:/"
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = uri
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = root
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = artifacts
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    upgrade(uri)
    handlers.initialize_backend_stores(uri, uri, root)
    # It reads the settings above when it is imported.
    from mlflow.server.fastapi_app import app

    if options.metrics_port:
        start_http_server(options.metrics_port, options.host, REGISTRY)
    uvicorn.run(
        Measured(app), host=options.host, port=options.port, log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
