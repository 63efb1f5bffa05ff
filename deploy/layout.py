"""Where the one-machine platform keeps what it makes at run time, below ``PLATFORM_HOME``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import ALERT_TOKEN_FILE, SERVING_FILE
from resources.journal import journal_folder

# A unix socket's path holds 107 bytes; supervisord binds it under a longer, temporary name.
SOCKET_BYTES: Final = 90


class LayoutError(PlatformError):
    """The home can not be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one platform home."""

    home: Path

    @property
    def run(self) -> Path:
        """Generated configuration, process ids and ports."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log file a program, rotated."""
        return self.home / "logs"

    @property
    def dagster(self) -> Path:
        """``DAGSTER_HOME``."""
        return self.home / "dagster"

    @property
    def mlflow(self) -> Path:
        """Database and artifacts of the tracking server."""
        return self.home / "mlflow"

    @property
    def bentoml(self) -> Path:
        """``BENTOML_HOME``: the bento store."""
        return self.home / "bentoml"

    @property
    def journal(self) -> Path:
        """What the service wrote of every prediction."""
        return journal_folder(self.home)

    @property
    def serving(self) -> Path:
        """The state of serving that the service follows; written by the ``rollout`` asset."""
        return self.home / SERVING_FILE

    @property
    def monitoring(self) -> Path:
        """What Prometheus and Alertmanager read."""
        return self.run / "monitoring"

    @property
    def series(self) -> Path:
        """What Prometheus measured."""
        return self.home / "prometheus"

    @property
    def silences(self) -> Path:
        """Alertmanager's silences, and what it has told."""
        return self.home / "alertmanager"

    @property
    def alert_token(self) -> Path:
        """By what the console knows Alertmanager; only this user reads it."""
        return self.home / ALERT_TOKEN_FILE

    @property
    def served(self) -> Path:
        """What the service process was started with."""
        return self.run / "served"

    @property
    def supervisor_conf(self) -> Path:
        """Configuration of supervisord."""
        return self.run / "supervisord.conf"

    @property
    def workspace(self) -> Path:
        """The workspace of the running code server."""
        return self.run / "workspace.yaml"

    @property
    def ports(self) -> Path:
        """The ports in use, also those that were free ones."""
        return self.run / "ports.json"

    @property
    def socket(self) -> Path:
        """Control socket of supervisord; elsewhere when ``home`` is too deep."""
        near = self.run / "supervisor.sock"
        if len(os.fsencode(near)) <= SOCKET_BYTES:
            return near
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return base / f"mlops-{os.getuid()}-{name}" / "supervisor.sock"

    def log(self, program: str) -> Path:
        """Log file of one program."""
        return self.logs / f"{program}.log"

    def make(self) -> None:
        """Create every folder.

        Raises:
            LayoutError: a path can not be written, or can not stand in a configuration file.
        """
        if any(sign in str(self.home) for sign in (";", "#", "\n", '"', "'")):
            raise LayoutError(f"PLATFORM_HOME `{self.home}` must be without quotes, `;` and `#`")
        folders = (self.run, self.logs, self.dagster, self.mlflow / "artifacts", self.bentoml)
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LayoutError(
                f"can not write {error.filename}: {error.strerror}; set PLATFORM_HOME elsewhere"
            ) from error
        owner = self.socket.parent.stat()
        if owner.st_uid != os.getuid():
            raise LayoutError(f"{self.socket.parent} belongs to someone else; set XDG_RUNTIME_DIR")
