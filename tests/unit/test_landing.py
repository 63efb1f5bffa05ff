"""Folders that others fill: each becomes a batch once, whatever looks, restarts or comes late."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.config import DatasetSettings, LandingSettings
from mlops_assets.contracts.errors import FolderError
from mlops_assets.contracts.files import LANDING_TAG
from mlops_assets.provenance.record import InputRef
from mlops_assets.raw.labelled import open_labelled
from resources.folders import open_folder
from resources.landing import (
    RECORDS,
    Looked,
    Part,
    is_landing,
    look,
    open_landing,
    read_record,
    record_batch,
)
from resources.store import ArtifactStore
from sensors.landing import build_landing_sensor

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
BATCHES = dg.DynamicPartitionsDefinition(name="batch")


class Zone:
    """A landing zone, and what a sensor and its runs would do with it."""

    def __init__(self, place: Path, quiet: float = 300.0) -> None:
        self.root, self.home, self.base = place / "zone", place / "home", place
        self.root.mkdir()
        self.settings = LandingSettings(root="zone", quiet_seconds=quiet)
        self.dataset = DatasetSettings(source="image_folder")
        self.seen: dict[str, tuple[str, float]] = {}

    def part(self, key: str) -> Part:
        return open_landing(self.settings, self.home, key, base=self.base, dataset=self.dataset)

    def write(self, *names: str, content: str = "x") -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def look(self, minutes: float) -> Looked:
        found = look(self.settings, self.home, self.base, self.dataset, self.seen,
                     NOW + timedelta(minutes=minutes))
        self.seen = found.seen
        return found

    def ask(self, minutes: float) -> list[str]:
        return self.look(minutes).ready

    def make(self, key: str) -> list[str]:
        part = self.part(key)
        record_batch(self.home, key, part, "f" * 64)
        return part.paths()


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


def test_a_marker_completes_a_folder_at_once(zone: Zone) -> None:
    zone.write("may/cat/1.png", "may/dog/1.png")
    assert zone.ask(0) == []
    assert "may has 2 new files" in zone.look(1).waiting[0]
    zone.write("may/_SUCCESS")
    assert zone.ask(1) == ["may"]
    assert zone.make("may") == ["cat/1.png", "dog/1.png"]
    assert zone.ask(2) == []


def test_without_a_marker_it_is_complete_when_nothing_changes(zone: Zone) -> None:
    zone.write("may/cat/1.png")
    assert zone.ask(0) == []
    for minute in range(1, 20):
        # Still being copied: it grows, or a file in it does.
        zone.write("may/cat/2.png", content="x" * minute)
        assert zone.ask(minute) == []
    assert zone.ask(23.9) == []
    assert zone.ask(24) == ["may"]


def test_late_and_changed_files_make_batches_of_their_own(zone: Zone) -> None:
    zone.write("may/cat/1.png", "may/cat/2.png", "may/_SUCCESS")
    assert zone.ask(0) == ["may"]
    zone.make("may")
    zone.write("may/cat/3.png")
    assert zone.ask(1) == []
    assert zone.ask(7) == ["may.2"]
    assert zone.make("may.2") == ["cat/3.png"]
    zone.write("may/cat/1.png", content="another picture")
    assert (zone.ask(8), zone.ask(14)) == ([], ["may.3"])
    assert zone.make("may.3") == ["cat/1.png"]
    (zone.root / "may" / "cat" / "2.png").unlink()
    assert (zone.ask(15), zone.ask(30)) == ([], [])
    zone.write("may/cat/4.png")
    assert zone.ask(24 * 60 * 400) == [], "long after, the folder is not looked at"


def test_what_was_asked_for_and_not_made_is_asked_for_again(zone: Zone) -> None:
    zone.write("may/cat/1.png", "may/_SUCCESS")
    assert zone.ask(0) == ["may"]
    # The daemon dies between the partition and its run; the run key stops a second run.
    assert zone.ask(1) == ["may"]
    zone.seen = {}
    assert zone.ask(2) == ["may"]
    zone.make("may")
    assert zone.ask(3) == []


def test_a_batch_is_made_of_the_same_files_again(zone: Zone) -> None:
    zone.write("may/cat/1.png", "may/_SUCCESS")
    zone.make("may")
    zone.write("may/cat/2.png")
    assert zone.part("may").paths() == ["cat/1.png"]
    assert zone.part("may.2").paths() == ["cat/2.png"]
    (zone.root / "may" / "cat" / "1.png").unlink()
    with pytest.raises(FolderError, match="1 of the 1 files that batch may was made of are gone"):
        zone.part("may")
    with pytest.raises(FolderError, match=r"batch may\.2 comes before may\.3"):
        zone.part("may.3")


def test_names_that_are_no_batch_are_told(zone: Zone) -> None:
    zone.write("a b/cat/1.png", "feedback-1/cat/1.png", "may.2/cat/1.png", ".hidden/cat/1.png")
    odd = Path(os.fsdecode(os.fsencode(zone.root) + b"/caf\xe9"))
    odd.mkdir()
    waiting = zone.look(0).waiting
    assert len(waiting) == 4
    assert all("is no name of a batch" in each for each in waiting)
    assert any("caf\\xe9" in each for each in waiting)


def test_a_batch_is_known_by_its_record_or_its_folder(zone: Zone) -> None:
    zone.write("may/cat/1.png")
    known = partial(is_landing, zone.settings, zone.home, base=zone.base, own="initial")
    assert known("may")
    assert known("may.2")
    assert not known("june")
    zone.make("may")
    assert read_record(zone.home, "may") is not None
    off = LandingSettings()
    assert is_landing(off, zone.home, "may", base=zone.base, own="initial")
    assert not is_landing(off, zone.home, "june", base=zone.base, own="initial")
    assert look(off, zone.home, zone.base, zone.dataset, {}, NOW).ready == []


def test_a_zone_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    gone = LandingSettings(root="nowhere")
    with pytest.raises(FolderError, match=r"see configs/landing\.yaml"):
        look(gone, tmp_path, tmp_path, DatasetSettings(), {}, NOW)
    # The batch of the configured source needs no landing zone.
    assert not is_landing(gone, tmp_path, "initial", base=tmp_path, own="initial")


def test_folders_of_long_ago_are_not_looked_into(zone: Zone) -> None:
    made = zone.home / RECORDS
    made.mkdir(parents=True)
    for number in range(1000):
        (zone.root / f"batch-{number}").mkdir()
        path = made / f"batch-{number}.json"
        path.write_text('{"files":{},"files_sha256":""}')
        os.utime(path, (0, 0))
    found = zone.look(0)
    assert (found.ready, found.seen) == ([], {})


def test_a_batch_of_another_source_is_left_alone(zone: Zone) -> None:
    zone.write("initial/cat/1.png", "initial/_SUCCESS", "spring/cat/1.png", "spring/_SUCCESS")
    made = zone.home / "store" / "raw_images"
    (made / ("a" * 64)).mkdir(parents=True)
    store = ArtifactStore(zone.home / "store")
    store.set_current(InputRef(asset="raw_images", partition="spring", version="a" * 64))
    found = zone.look(0)
    assert found.ready == []
    assert "initial" in found.waiting[0]
    assert "a batch spring is there already, of another source" in found.waiting[1]
    assert not is_landing(zone.settings, zone.home, "spring", base=zone.base, own="initial")


def test_a_folder_that_can_not_be_read_holds_up_no_other(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.write("april/cat/1.png", "may/cat/1.png", "may/_SUCCESS")

    def refuse(root: str, name: str, **more: Any) -> Any:
        if name == "april":
            raise PermissionError("denied")
        return open_folder(root, name, **more)

    monkeypatch.setattr("resources.landing.open_folder", refuse)
    found = zone.look(0)
    assert (found.ready, found.waiting) == (["may"], ["april can not be read: denied"])


def test_a_table_in_a_folder_grows_with_its_late_files(zone: Zone) -> None:
    zone.dataset = DatasetSettings(source="table")

    def read(key: str) -> list[tuple[str, str]]:
        source = open_labelled(zone.dataset, zone.part(key), least=1)
        return [(image.source, image.label) for image in source.images()]

    zone.write("may/1.png", "may/2.png", "may/_SUCCESS")
    zone.write("may/labels.csv", content="path,label\n1.png,cat\n2.png,dog\n")
    assert zone.ask(0) == ["may"]
    assert read("may") == [("1.png", "cat"), ("2.png", "dog")]
    zone.make("may")
    zone.write("may/labels.csv", content="path,label\n1.png,cat\n2.png,dog\n3.png,dog\n")
    assert zone.look(1).waiting == [], "the table by itself is no batch"
    zone.write("may/3.png")
    assert (zone.ask(2), zone.ask(8)) == ([], ["may.2"])
    assert read("may.2") == [("3.png", "dog")]
    zone.make("may.2")
    assert read("may") == [("1.png", "cat"), ("2.png", "dog")]


class Sensor:
    """The sensor over a zone, and an instance in which its runs end as they are told."""

    def __init__(self, zone: Zone) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.sensor = build_landing_sensor(
            partial(look, zone.settings, zone.home, zone.base, zone.dataset), partitions=BATCHES,
            interval_seconds=5)
        self.cursor: str | None = None
        self.added: list[str] = []

    def tick(self) -> tuple[list[str | None], str]:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            found = self.sensor(context)
        assert isinstance(found, dg.SensorResult)
        for request in found.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            self.instance.add_dynamic_partitions("batch", list(request.partition_keys))
            self.added += request.partition_keys
        self.cursor = found.cursor
        why = found.skip_reason
        said = str(why.skip_message) if isinstance(why, dg.SkipReason) else ""
        return [request.run_key for request in found.run_requests or []], said

    def run(self, key: str, *, fails: bool = False) -> None:
        job = dg.GraphDefinition(name="ingest", node_defs=[fault if fails else nothing]).to_job()
        job.execute_in_process(instance=self.instance, tags={LANDING_TAG: key},
                               raise_on_error=False)


@dg.op
def nothing() -> None:
    """Stands for what makes a batch."""


@dg.op
def fault() -> None:
    """Stands for a bucket that does not answer."""
    raise ValueError("no answer")


def test_the_sensor_asks_until_a_batch_is_made(zone: Zone) -> None:
    zone.settings = LandingSettings(root="zone", quiet_seconds=0)
    zone.write("may/cat/1.png")
    sensor = Sensor(zone)
    assert sensor.tick()[0] == ["landing-may-1"]
    # The daemon dies before the run is there: the same key is asked for, and run once.
    sensor.cursor = None
    assert sensor.tick()[0] == ["landing-may-1"]
    assert sensor.added == ["may"]
    sensor.run("may", fails=True)
    assert sensor.tick()[0] == ["landing-may-2"]
    sensor.run("may")
    zone.make("may")
    assert sensor.tick() == ([], "no folder has new files")


def test_a_batch_that_fails_again_and_again_is_told_and_holds_up_no_other(zone: Zone) -> None:
    zone.settings = LandingSettings(root="zone", quiet_seconds=0)
    zone.write("may/cat/1.png")
    sensor = Sensor(zone)
    for _ in range(3):
        assert len(sensor.tick()[0]) == 1
        sensor.run("may", fails=True)
    keys, said = sensor.tick()
    assert keys == []
    assert said.startswith("may was tried 3 times")
    zone.write("june/cat/1.png")
    assert sensor.tick()[0] == ["landing-june-1"]


def test_many_folders_at_once_are_asked_for_over_several_ticks(zone: Zone) -> None:
    zone.settings = LandingSettings(root="zone", quiet_seconds=0)
    for number in range(130):
        zone.write(f"day-{number:03}/cat/1.png")
    sensor = Sensor(zone)
    first = sensor.tick()[0]
    assert len(first) == 100
    for key in sensor.added:
        zone.make(key)
    assert len(sensor.tick()[0]) == 30
