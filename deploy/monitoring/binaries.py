"""Where Prometheus, Alertmanager and node_exporter are on this machine, and how they start."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# `deploy/prometheus.sh` unpacks them there.
FOLDER: Final = Path(sys.prefix) / "prometheus"
ALERTMANAGERS: Final = ("alertmanager", "prometheus-alertmanager")
NODE_EXPORTERS: Final = ("node_exporter", "prometheus-node-exporter")
# What the rules and dashboards read; the rest would cost a scrape more than they tell.
COLLECTORS: Final = ("cpu", "diskstats", "filesystem", "loadavg", "meminfo", "netdev")
KEPT_DAYS: Final = 30
KEPT_BYTES: Final = "1GB"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs, each an absolute path; there may be no ``node_exporter``."""

    prometheus: Path
    alertmanager: Path
    node_exporter: Path | None = None

    def prometheus_command(self, *, config: Path, data: Path, listen: str) -> tuple[str, ...]:
        """The argument list of Prometheus; ``listen`` is ``host:port``."""
        assets = self.prometheus.parent / "usr" / "share" / "prometheus" / "web"
        pages = (f"--web.local-assets={assets}",) if assets.is_dir() else ()
        return (
            str(self.prometheus), f"--config.file={config}", f"--storage.tsdb.path={data}",
            f"--storage.tsdb.retention.time={KEPT_DAYS}d",
            f"--storage.tsdb.retention.size={KEPT_BYTES}",
            f"--web.listen-address={listen}", *pages, "--log.level=warn",
            # By default every page that a browser on this machine opens may read it.
            "--web.cors.origin=none",
        )

    def alertmanager_command(self, *, config: Path, data: Path, listen: str) -> tuple[str, ...]:
        """The argument list of Alertmanager, alone: without a cluster's second port."""
        return (
            str(self.alertmanager), f"--config.file={config}", f"--storage.path={data}",
            f"--web.listen-address={listen}", "--cluster.listen-address=", "--log.level=warn",
        )

    def node_command(self, *, listen: str) -> tuple[str, ...]:
        """The argument list of node_exporter; none where there is no such program."""
        if self.node_exporter is None:
            return ()
        return (str(self.node_exporter), f"--web.listen-address={listen}", "--log.level=warn",
                "--collector.disable-defaults", *(f"--collector.{name}" for name in COLLECTORS))


def find_program(*names: str) -> Path | None:
    """The first of ``names`` that ``deploy/prometheus.sh`` unpacked, else that is on the path."""
    for folder in (str(FOLDER), None):
        for name in names:
            if found := shutil.which(name, path=folder):
                return Path(found).absolute()
    return None


def find_binaries() -> Binaries | None:
    """The programs, or None where Prometheus or Alertmanager is missing."""
    prometheus, alertmanager = find_program("prometheus"), find_program(*ALERTMANAGERS)
    if prometheus is None or alertmanager is None:
        return None
    return Binaries(prometheus, alertmanager, find_program(*NODE_EXPORTERS))
