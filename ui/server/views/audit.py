"""The audit log."""

from __future__ import annotations

from datetime import datetime

from resources.platform_db import AuditEntry
from ui.server import schemas
from ui.server.views.traffic import describe_state
from ui.server.world import World


def audit(world: World, *, before: int | None, limit: int) -> schemas.Audit:
    """Entries, newest first, older than ``before``."""
    ledger = world.ledger.value
    found = [each for each in ledger.audit if before is None or each.id < before]
    return schemas.Audit(entries=[_entry(world, each) for each in found[-limit:][::-1]],
                         total=len(ledger.audit), whole=not ledger.broken, problem=ledger.broken)


def entries(world: World, count: int) -> list[schemas.AuditView]:
    """The latest."""
    return [_entry(world, each) for each in world.ledger.value.audit[-count:][::-1]]


def _entry(world: World, entry: AuditEntry) -> schemas.AuditView:
    state = entry.details.get("state")
    effect = describe_state(state, world.store.value.label) if isinstance(state, dict) else ""
    return schemas.AuditView(
        id=entry.id, at=datetime.fromisoformat(entry.at), actor=entry.actor, action=entry.action,
        effect=effect, reason=entry.reason, details=entry.details, sha256=entry.sha256)
