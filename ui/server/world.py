"""Everything that the console looks at, in one place."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from mlops_assets.contracts.rollout import RolloutState
from resources.dagster_api import DagsterApi
from resources.journal import journal_folder
from resources.platform_db import AuditEntry, BrokenAuditLog, PlatformDatabase
from ui.server import schemas
from ui.server.settings import Console
from ui.server.sources.dagster import Dagster, look
from ui.server.sources.journal import Journal
from ui.server.sources.source import Seen, Source
from ui.server.sources.store import Store, StoreReader
from ui.server.sources.web import Peer, Unreachable

# A look that waits for a program that is gone ends by itself; nobody waits for it.
STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Ledger:
    """The platform database: the state of serving and the audit log, oldest first."""

    state: RolloutState = field(default_factory=lambda: RolloutState(revision=0))
    audit: list[AuditEntry] = field(default_factory=list)
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Alerting:
    """Alerts that fire, as Alertmanager tells them."""

    alerts: list[dict[str, Any]] = field(default_factory=list)


class World:
    """The sources of one console; each is looked at in a thread of its own."""

    def __init__(self, console: Console) -> None:
        self.console = console
        where = console.addresses
        self.dagster_api = DagsterApi(where.dagster) if where.dagster else None
        self.journal_book = Journal(journal_folder(console.home))
        reader = StoreReader(console.home / "store")
        self._peers = peers = {name: Peer(name, url) for name, url in
                 (("MLflow", where.mlflow), ("The service", where.service),
                  ("Prometheus", where.prometheus), ("Alertmanager", where.alertmanager)) if url}
        self.dagster: Source[Dagster] = Source(
            "Dagster", self._look_dagster, Dagster(), seconds=4, url=where.dagster_page,
            configured=bool(where.dagster))
        self.mlflow: Source[bool] = Source(
            "MLflow", lambda: peers["MLflow"].get("/health").is_success, False, seconds=10,
            url=where.mlflow_page, configured=bool(where.mlflow))
        self.service: Source[dict[str, Any]] = Source(
            "Service", lambda: dict(peers["The service"].json("/v1/models")), {}, seconds=3,
            url=where.service and f"{where.service}/docs.json", configured=bool(where.service))
        self.prometheus: Source[bool] = Source(
            "Prometheus", lambda: peers["Prometheus"].get("/-/ready").is_success, False,
            seconds=10, url=where.prometheus, configured=bool(where.prometheus))
        self.alertmanager: Source[Alerting] = Source(
            "Alertmanager",
            lambda: Alerting(list(peers["Alertmanager"].json("/api/v2/alerts?active=true"))),
            Alerting(), seconds=5, url=where.alertmanager, configured=bool(where.alertmanager))
        self.ledger: Source[Ledger] = Source("Platform database", self._look_ledger, Ledger(),
                                             seconds=1)
        self.store: Source[Store] = Source("Artifact store", reader.look, Store(), seconds=3)
        self.journal: Source[int] = Source("Journal", self.journal_book.read, 0, seconds=1)
        self._database: PlatformDatabase | None = None
        self._lock = threading.Lock()

    @property
    def sources(self) -> list[Source[Any]]:
        """All of them, those that a person knows by name first."""
        return [self.dagster, self.mlflow, self.service, self.prometheus, self.alertmanager,
                self.ledger, self.store, self.journal]

    def database(self) -> PlatformDatabase:
        """The platform database, opened and migrated once."""
        with self._lock:
            if self._database is None:
                self._database = PlatformDatabase(self.console.home)
            return self._database

    def refresh(self, sources: Iterable[Source[Any]] | None = None) -> None:
        """Look at sources now; at all that are configured when none are given."""
        for source in self.sources if sources is None else sources:
            if source.configured:
                source.refresh()

    def start(self) -> None:
        """Begin to look at all."""
        for source in self.sources:
            source.start()

    def stop(self) -> None:
        """Look no more, and close every connection."""
        for source in self.sources:
            source.stop()
        for source in self.sources:
            source.join(STOP_SECONDS)
        for peer in self._peers.values():
            peer.client.close()
        if self.dagster_api is not None:
            self.dagster_api.close()
        if self._database is not None:
            self._database.close()

    def source_views(self) -> list[schemas.Source]:
        """How each source does."""
        return [_view(source) for source in self.sources]

    def _look_dagster(self) -> Dagster:
        if self.dagster_api is None:
            raise Unreachable("no Dagster is configured")
        return look(self.dagster_api)

    def _look_ledger(self) -> Ledger:
        database = self.database()
        state = database.read_state()
        try:
            return Ledger(state, database.read_audit())
        except BrokenAuditLog as error:
            return Ledger(state, [], str(error))


def _view(source: Source[Any]) -> schemas.Source:
    seen: Seen[Any] = source.seen
    detail = seen.problem or ("not configured" if not source.configured else "")
    waiting = source.configured and seen.at is None and not seen.problem
    return schemas.Source(
        name=source.name, ok=source.configured and not detail and not waiting,
        configured=source.configured, detail=detail or ("looking" if waiting else ""),
        seen_at=seen.at, url=source.url)


def moment(seconds: float) -> datetime | None:
    """Seconds since 1970 as a time; 0 is none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
