"""Requests by model version over time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from ui.server import schemas
from ui.server.sources.journal import MINUTE, Bucket, merged
from ui.server.world import World

SECONDS: Final[dict[schemas.Range, int]] = {"1h": 3600, "24h": 86_400, "14d": 14 * 86_400}
POINTS: Final[dict[schemas.Range, int]] = {"1h": 60, "24h": 96, "14d": 112}


def traffic(world: World, span: schemas.Range, now: float | None = None) -> schemas.Traffic:
    """Rates, latencies and confidence of each version in the last ``span``."""
    end = time.time() if now is None else now
    step = SECONDS[span] // POINTS[span]
    # The last point is a whole one: a minute that goes on would look like a fall.
    last = int(end) // MINUTE * MINUTE
    start = last - SECONDS[span]
    store, book = world.store.value, world.journal_book
    cells: defaultdict[int, dict[str, int]] = defaultdict(dict)
    buckets: defaultdict[str, list[Bucket]] = defaultdict(list)
    for minute, version, bucket in book.between(start, end):
        buckets[version].append(bucket)
        place = (minute * MINUTE - start) // step
        if 0 <= place < POINTS[span]:
            label = store.label(version)
            cells[place][label] = cells[place].get(label, 0) + bucket.answers
    totals = {version: merged(found) for version, found in buckets.items()}
    labels = [store.label(version) for version in totals]
    points = [
        schemas.TrafficPoint(
            at=datetime.fromtimestamp(start + place * step, UTC),
            rates={label: cells[place].get(label, 0) / step for label in labels})
        for place in range(POINTS[span])
    ]
    return schemas.Traffic(
        range=span, seconds=step, points=points, versions=_versions(world, totals),
        marks=_marks(world, start))


def _versions(world: World, totals: dict[str, Bucket]) -> list[schemas.VersionTraffic]:
    state, store, book = world.ledger.value.state, world.store.value, world.journal_book
    slots = {assignment.model_version: slot for slot, assignment in state.slots.items()}
    everything = sum(total.answers for total in totals.values())
    order = {"champion": 0, "challenger": 1, "shadow": 2}

    def view(version: str) -> schemas.VersionTraffic:
        total = totals.get(version, Bucket())
        tried, answers = total.answers + total.failures, total.answers
        slot: str = slots.get(version) or (
            "retired" if version in book.slots else "new")
        return schemas.VersionTraffic(
            version=version, label=store.label(version), slot=slot,
            share=answers / everything if everything else 0.0, requests=answers,
            p50=total.latency(0.5), p95=total.latency(0.95),
            failures=total.failures / tried if tried else 0.0,
            confidence=total.confidence / answers if answers else None,
            low_confidence=total.low / answers if answers else None)

    versions = sorted({*totals, *slots}, key=lambda each: order.get(slots.get(each, ""), 3))
    return [view(version) for version in versions]


def _marks(world: World, start: float) -> list[schemas.Mark]:
    store, marks = world.store.value, []
    for entry in world.ledger.value.audit:
        state = entry.details.get("state")
        at = datetime.fromisoformat(entry.at)
        if not isinstance(state, dict) or at.timestamp() < start:
            continue
        marks.append(schemas.Mark(at=at, label=describe_state(state, store.label)))
    return marks[-12:]


def describe_state(state: dict[str, Any], name: Callable[[str], str]) -> str:
    """A few words for a state of serving, such as `v3 to 10%`."""
    named: dict[str, Any] = state.get("slots") or {}
    for slot in ("challenger", "shadow"):
        if slot in named:
            who = name(named[slot]["model_version"])
            if state.get("step") == "held":
                return f"{who} held"
            return f"{who} shadows" if slot == "shadow" else f"{who} to {named[slot]['weight']:.0%}"
    return f"{name(named['champion']['model_version'])} serves" if "champion" in named else ""
