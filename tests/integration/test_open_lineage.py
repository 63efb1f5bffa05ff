"""OpenLineage events: each is valid by the standard's schemas and names what was read and made."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from resources.open_lineage import FOLDER
from tests.graph import Graph, set_digits

SCHEMAS = Path(__file__).parents[1] / "data" / "openlineage"
pytestmark = pytest.mark.slow
DATA = dg.AssetSelection.assets("raw_images", "validated_images", "quarantined_images", "dataset")


def load_schemas() -> tuple[dict[str, dict[str, Any]], Registry[Any]]:
    found = {path.stem: json.loads(path.read_bytes()) for path in SCHEMAS.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in found.values())
    return found, registry


def check(event: dict[str, Any]) -> None:
    """The event by the schema of events, and each facet by the one that it names."""
    schemas, registry = load_schemas()

    def validate(schema: dict[str, Any], content: object) -> None:
        Draft202012Validator(
            schema, registry=registry, format_checker=FormatChecker()).validate(content)

    validate(schemas["OpenLineage"], event)
    datasets = [*event.get("inputs", []), *event.get("outputs", [])]
    holders = [event["run"]["facets"], event["job"]["facets"],
               *(each["facets"] for each in datasets),
               *(each["outputFacets"] for each in event.get("outputs", []))]
    for facets in holders:
        for name, facet in facets.items():
            schema = schemas[facet["_schemaURL"].rpartition("/")[2].partition(".json")[0]]
            validate(schema, {name: facet})


def read(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((home / FOLDER).iterdir())
            for line in path.read_text().splitlines()]


def test_every_step_tells_what_it_read_and_made(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_digits(monkeypatch, digits)
    graph = Graph(tmp_path / "home")
    result = graph.run(DATA)
    assert result.success
    events = read(graph.home)
    for event in events:
        check(event)
        assert event["run"]["facets"]["parent"]["run"]["runId"] == result.run_id
    assert Counter((event["job"]["name"], event["eventType"]) for event in events) == Counter(
        (job, kind) for job in ("raw_images", "validated_images+quarantined_images", "dataset")
        for kind in ("START", "COMPLETE"))
    runs = Counter(event["run"]["runId"] for event in events)
    assert set(runs.values()) == {2}
    (told,) = (event for event in events
               if (event["job"]["name"], event["eventType"]) == ("dataset", "COMPLETE"))
    (made,), (read_in,) = told["outputs"], told["inputs"]
    assert made["facets"]["version"]["datasetVersion"] == graph.store.pin("dataset").version
    assert made["outputFacets"]["outputStatistics"]["rowCount"] > 1000
    assert read_in["name"] == "validated_images/initial"
    assert read_in["facets"]["version"]["datasetVersion"] == graph.store.pin(
        "validated_images", "initial").version


def test_a_step_that_fails_says_so(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_digits(monkeypatch, digits)
    graph = Graph(tmp_path / "home")
    assert not graph.run(dg.AssetSelection.assets("dataset"), None).success
    start, fail = read(graph.home)
    check(fail)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    message = fail["run"]["facets"]["errorMessage"]["message"]
    assert "`validated_images` has no partition yet" in message


def test_a_catalogue_that_is_away_stops_nothing(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_digits(monkeypatch, digits)
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    graph = Graph(tmp_path / "home")
    assert graph.run(dg.AssetSelection.assets("raw_images")).success
    assert [event["eventType"] for event in read(graph.home)] == ["START", "COMPLETE"]
