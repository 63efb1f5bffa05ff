"""Things by the beginning of their name or id."""

from __future__ import annotations

from collections.abc import Iterator

from ui.server import schemas
from ui.server.world import World

FOUND = 20
PAGES = {
    "Overview": "/", "Models": "/models", "Rollout": "/rollout", "Drift": "/drift",
    "Predictions": "/predictions", "Try it": "/try", "Lineage": "/lineage",
    "Label queue": "/labels", "Alerts": "/alerts", "Automation": "/automation", "Keys": "/keys",
    "Audit log": "/audit",
}


def find(world: World, text: str) -> list[schemas.Part]:
    """At most twenty, pages first."""
    wanted = text.strip().lower()
    found: list[schemas.Part] = []
    for part in _all(world, wanted):
        if part not in found:
            found.append(part)
        if len(found) == FOUND:
            break
    return found


def _all(world: World, wanted: str) -> Iterator[schemas.Part]:
    for name, page in PAGES.items():
        if name.lower().startswith(wanted):
            yield schemas.Part(text=name, href=page)
    if not wanted:
        return
    store = world.store.value
    for model in reversed(store.models):
        if wanted in model.label.lower() or model.card.version.startswith(wanted) or (
                model.bento_tag.startswith(wanted)):
            yield schemas.Part(text=f"Model {model.label} ({model.bento_tag})",
                               href=f"/models?v={model.label}")
    for row in reversed(world.journal_book.rows):
        if row.id.startswith(wanted) or row.image.startswith(wanted):
            yield schemas.Part(text=f"Prediction {row.id[:12]}: {row.label}",
                               href=f"/lineage/{row.id}")
    for run in world.dagster.value.runs:
        if run.id.startswith(wanted):
            yield schemas.Part(text=f"Run {run.id[:8]} of {run.job}", href="/automation")
    if store.graph is not None:
        for artifact in store.graph.records:
            if artifact.version.startswith(wanted) or artifact.asset.startswith(wanted):
                yield schemas.Part(text=f"{artifact.asset} {artifact.version[:12]}",
                                   href=f"/lineage/{artifact.version}")
