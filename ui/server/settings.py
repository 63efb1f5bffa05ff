"""Where the console finds what it shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.config import Settings
from mlops_assets.contracts.loopback import binds_loopback
from mlops_assets.contracts.pages import DAGSTER_PAGES, MLFLOW_PAGES
from ui.server.single_sign_on import ProviderSettings

STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of the programs that the console asks; an empty one is not configured."""

    dagster: str = ""
    mlflow: str = ""
    service: str = ""
    prometheus: str = ""
    alertmanager: str = ""
    dagster_view: str = ""
    mlflow_view: str = ""

    @property
    def dagster_page(self) -> str:
        """Where a browser finds Dagster's pages: behind the console, if they are shown there."""
        return DAGSTER_PAGES if self.dagster_view else self.dagster

    @property
    def mlflow_page(self) -> str:
        """Where a browser finds MLflow's pages."""
        return MLFLOW_PAGES if self.mlflow_view else self.mlflow

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> Addresses:
        """From ``MLOPS_CONSOLE_<NAME>_URL``, and ``MLFLOW_TRACKING_URI`` for MLflow."""
        def address(name: str) -> str:
            return variables.get(f"MLOPS_CONSOLE_{name}_URL", "").rstrip("/")

        mlflow = variables.get("MLFLOW_TRACKING_URI", "")
        return cls(address("DAGSTER"), mlflow.rstrip("/") if mlflow.startswith("http") else "",
                   address("SERVICE"), address("PROMETHEUS"), address("ALERTMANAGER"),
                   address("DAGSTER_VIEW"), address("MLFLOW_VIEW"))


@dataclass(frozen=True, slots=True)
class Console:
    """One console: the platform's settings, the addresses, and where it listens."""

    settings: Settings
    addresses: Addresses
    host: str = "127.0.0.1"
    port: int = 8080
    provider: ProviderSettings | None = None

    @property
    def home(self) -> Path:
        """``PLATFORM_HOME``."""
        return self.settings.home

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return binds_loopback(self.host)

    @property
    def project(self) -> str:
        """What people call it: the registered model's name."""
        return self.settings.release.model_name
