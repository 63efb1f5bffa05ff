"""The feature store: Feast over the platform's artifacts, read online by image id.

Everything below ``<home>/features`` is derived, and made again when it is lost: the registry, links
to the current files of ``image_features``, the history of answers, and the embedded online store.
``import feast`` takes seconds, so that only functions which need it do it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.image_features import ENTITY, FEATURES_SCHEMA, HISTORY_SCHEMA, TIME
from mlops_assets.provenance.hashing import sha256_json
from resources.durable import locked
from resources.feature_history import Hour, latest_of, write_history
from resources.online_place import OnlinePlace, Pushed, open_place

if TYPE_CHECKING:
    from feast import FeatureStore

PROJECT: Final = "mlops_assets"
VIEWS: Final = {"image_features": FEATURES_SCHEMA, "prediction_history": HISTORY_SCHEMA}
# Feast's own format, no database: one home has one writer.
REGISTRY: Final = "registry.pb"
ROWS: Final = 5000
NOTED_ROWS: Final = 100_000
METRICS_FOLDERS: Final = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")


class NothingOnline(PlatformError):
    """The online store is empty, or not of these features."""


@dataclass(frozen=True, slots=True)
class OnlineImage:
    """What is known of one image now; None: it is in no batch, or was never answered."""

    image_id: str
    features: Mapping[str, Any] | None
    history: Mapping[str, Any] | None

    @property
    def known(self) -> bool:
        """Whether there is anything."""
        return self.features is not None or self.history is not None


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows a push brought into the online store, by view."""

    image_features: int
    prediction_history: int


@dataclass(frozen=True, slots=True)
class ImageFeatureStore:
    """The feature store of one platform home."""

    home: Path

    @property
    def folder(self) -> Path:
        """Where what is derived lies."""
        return self.home / "features"

    @property
    def place(self) -> OnlinePlace:
        """Where features are read online."""
        return open_place(self.folder)

    def push(self, batches: Mapping[str, tuple[str, Path]], hours: Sequence[Hour]) -> Written:
        """Bring into the online store what is new since the last push.

        Partitions are told apart by the hash of their content, and are noted when all of their
        rows are written, so that a push that was killed is completed by the next.

        Args:
            batches: partition key to version and file of ``image_features``.
            hours: of ``prediction_log``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            files = self._link(batches)
            history = write_history(hours, self.folder / "prediction_history")
            definitions = self._definitions_sha256()
            place, registry = self.place, self.folder / REGISTRY
            pushed = place.read()
            if pushed.definitions != definitions:
                pushed = Pushed(definitions)
            new = {batch: version for batch, (version, _) in batches.items()
                   if pushed.batches.get(batch) != version}
            hours_new = [path for path in history if path.name not in pushed.hours]
            if not new and not hours_new and registry.is_file():
                return Written(0, 0)
            store = self.open(apply=not registry.is_file() or not pushed.applied)
            pushed.applied = True
            place.write(pushed)
            rows = [0, 0]
            for some in _together({batch: files[batch] for batch in new}):
                rows[0] += _write(store, "image_features", [*some.values()], [*files.values()])
                pushed.batches |= {batch: new[batch] for batch in some}
                place.write(pushed)
            for more in _together({path.name: path for path in hours_new}):
                rows[1] += _write(store, "prediction_history", [*more.values()], history)
                pushed.hours += more
                place.write(pushed)
            kept = {path.name for path in history}
            pushed.hours = [name for name in pushed.hours if name in kept]
            place.write(pushed)
        return Written(*rows)

    def online(self, ids: Sequence[str]) -> list[OnlineImage]:
        """What is known now of each image, in the order of ``ids``.

        Raises:
            NothingOnline: nothing was pushed yet, or the store lost what was.
        """
        if not self.place.read().applied or not (self.folder / REGISTRY).is_file():
            raise NothingOnline(f"the online feature store ({self.place.name}) is empty; "
                                "materialize `online_features`")
        names = [f"{view}:{field.name}" for view in VIEWS for field in _features(view)]
        found = self.open().get_online_features(
            names, [{ENTITY: each} for each in ids]).to_dict()
        return [OnlineImage(each, *(_row(found, view, at) for view in VIEWS))
                for at, each in enumerate(ids)]

    def historical(self, wanted: pa.Table, features: Sequence[str]) -> pa.Table:
        """Feast's own point-in-time join, over the files of the last push.

        Args:
            wanted: ``image_id`` and ``event_timestamp``, the time of which each row is asked.
            features: as ``image_features:embedding``.
        """
        job = self.open().get_historical_features(wanted.to_pandas(), [*features])
        table: pa.Table = job.to_arrow()
        return table

    def open(self, *, apply: bool = False) -> FeatureStore:
        """Feast's store of this home; ``apply`` writes the definitions into its registry."""
        feast = import_feast()
        store: FeatureStore = feast.FeatureStore(config=feast.RepoConfig(
            project=PROJECT, provider="local", registry=str(self.folder / REGISTRY),
            offline_store={"type": "duckdb"}, online_store=self.place.config(),
            entity_key_serialization_version=3))
        if apply:
            store.apply(_define(self.folder))
        return store

    def _definitions_sha256(self) -> str:
        return sha256_json({"folder": str(self.folder.absolute()), **{
            view: [[field.name, str(field.type)] for field in schema]
            for view, schema in VIEWS.items()}})

    def _link(self, batches: Mapping[str, tuple[str, Path]]) -> dict[str, Path]:
        """The current file of each batch below one folder, which is what Feast can read."""
        folder = self.folder / "image_features"
        folder.mkdir(exist_ok=True)
        links = {batch: folder / f"{version}.parquet" for batch, (version, _) in batches.items()}
        for batch, link in links.items():
            if not link.is_symlink():
                link.symlink_to(batches[batch][1].absolute())
        for path in set(folder.iterdir()) - {*links.values()}:
            path.unlink()
        return links


def import_feast() -> Any:
    """Feast, of whose import nothing is left but itself.

    It would have every program that this process starts, and the metrics of this process, write
    to files of its own, and changes which warnings are shown.
    """
    # Decides at its first import whether metrics go to files.
    import prometheus_client  # noqa: F401

    before = {name: os.environ.get(name) for name in METRICS_FOLDERS}
    with warnings.catch_warnings():
        import feast
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    return feast


def _features(view: str) -> list[Any]:
    return [field for field in VIEWS[view] if field.name not in (ENTITY, TIME)]


def _row(found: Mapping[str, Sequence[Any]], view: str, at: int) -> dict[str, Any] | None:
    row = {field.name: found[field.name][at] for field in _features(view)}
    return None if all(value is None for value in row.values()) else row


def _define(folder: Path) -> list[Any]:
    """The entity and its views, from the schemas."""
    from datetime import timedelta

    import_feast()
    from feast import Entity, FeatureView, Field, FileSource
    from feast.type_map import pa_to_feast_value_type
    from feast.types import from_value_type
    from feast.value_type import ValueType

    image = Entity(name="image", join_keys=[ENTITY], value_type=ValueType.STRING)
    views = [FeatureView(
        name=view, entities=[image], ttl=timedelta(0),
        schema=[Field(name=ENTITY, dtype=from_value_type(ValueType.STRING)), *(
            Field(name=field.name, dtype=from_value_type(pa_to_feast_value_type(str(field.type))))
            for field in _features(view))],
        source=FileSource(name=view, path=str(folder.absolute() / view / "*.parquet"),
                          timestamp_field=TIME),
    ) for view in VIEWS]
    return [image, *views]


def _write(store: FeatureStore, view: str, new: Sequence[Path], every: Sequence[Path]) -> int:
    """Write the latest rows of the images in the ``new`` files; how many."""
    rows = 0
    for table in latest_of(new, every, ROWS):
        store.write_to_online_store(view, df=table.to_pandas())
        rows += table.num_rows
    return rows


def _together(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Small files together, up to ``NOTED_ROWS`` rows: later rows are looked for only once then."""
    some: dict[str, Path] = {}
    rows = 0
    for name, path in files.items():
        some[name] = path
        rows += pq.read_metadata(path).num_rows
        if rows >= NOTED_ROWS:
            yield some
            some, rows = {}, 0
    if some:
        yield some
