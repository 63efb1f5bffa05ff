"""The feature store at 50,000 images of 64-dimensional embeddings, statistics and a group.

Online: `get_online_features` of all features for one image and for 100 at a time, each call of
other images, on SQLite and on a Redis server on this machine. Offline: every image's features as of
a time between its two rows, by the join that training uses, by Polars' `join_asof`, and by Feast's
DuckDB and Dask stores.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.contracts.image_features import FEATURES_SCHEMA
from mlops_assets.contracts.image_statistics import NAMES
from resources.data_services import REDIS
from resources.feature_history import historical
from resources.feature_store import PROJECT, ImageFeatureStore, _define, import_feast
from tests.redis_server import redis_server

IMAGES, DIMENSIONS, CALLS = 50_000, 64, 2000
NOON: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)


def write_batches(folder: Path, images: int) -> tuple[list[str], dict[str, tuple[str, Path]]]:
    """Two batches of the same images, an hour apart."""
    random = np.random.default_rng(0)
    ids = sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(images))
    batches = {}
    for number in range(2):
        path = folder / f"batch-{number}.parquet"
        ends = np.arange(images + 1, dtype=np.int32) * DIMENSIONS
        values = random.normal(size=images * DIMENSIONS).astype(np.float32)
        pq.write_table(pa.table({
            "image_id": ids, "event_timestamp": [NOON + timedelta(hours=number)] * images,
            "embedding": pa.ListArray.from_arrays(ends, pa.array(values)),
            **{name: random.random(images).astype(np.float32) for name in NAMES},
            "near_duplicate_group": ids, "batch": [str(number)] * images,
        }, schema=FEATURES_SCHEMA), path, compression="zstd")
        batches[str(number)] = (f"version-{number}", path)
    return ids, batches


def read_online(store: ImageFeatureStore, ids: list[str], calls: int) -> list[dict[str, Any]]:
    """Milliseconds of calls for one image and for 100."""
    feast, random, runs = store.open(), np.random.default_rng(1), []
    names = [f"image_features:{field.name}" for field in FEATURES_SCHEMA][2:]
    # The first call reads the registry.
    feast.get_online_features(names, [{"image_id": ids[0]}])
    for count in (1, 100):
        took = []
        for _ in range(calls if count == 1 else calls // 10):
            rows = [{"image_id": ids[at]} for at in random.integers(0, len(ids), count)]
            began = time.perf_counter()
            found = feast.get_online_features(names, rows).to_dict()
            took.append(1000 * (time.perf_counter() - began))
            assert found["batch"] == ["1"] * count
        runs.append({"store": store.place.name, "images": count, "calls": len(took),
                     "p50_ms": float(np.percentile(took, 50)),
                     "p99_ms": float(np.percentile(took, 99))})
        print(runs[-1], flush=True)
    return runs


def join(store: ImageFeatureStore, ids: list[str], files: list[Path]) -> dict[str, float]:
    """Seconds of a point-in-time join of every image by each way."""
    as_of = NOON + timedelta(minutes=30)
    names = [f"image_features:{field.name}" for field in FEATURES_SCHEMA][2:]
    asked = pa.table({"image_id": ids, "event_timestamp": [as_of] * len(ids)})
    feast = import_feast()
    dask = feast.FeatureStore(config=feast.RepoConfig(
        project=PROJECT, provider="local", registry=str(store.folder / "dask.db"),
        offline_store={"type": "dask"}, entity_key_serialization_version=3,
        online_store={"type": "sqlite", "path": str(store.folder / "dask-online.db")}))
    dask.apply(_define(store.folder))

    def asof() -> Any:
        rows = pl.concat([pl.read_parquet(file) for file in files]).sort("event_timestamp")
        return pl.DataFrame(pl.from_arrow(asked)).join_asof(
            rows, on="event_timestamp", by="image_id", check_sortedness=False).to_arrow()

    ways: dict[str, Callable[[], Any]] = {
        "historical (Polars)": lambda: historical(files, ids, as_of),
        "Polars join_asof": asof,
        "Feast, DuckDB": lambda: store.historical(asked, names),
        "Feast, Dask": lambda: dask.get_historical_features(asked.to_pandas(), names).to_arrow(),
    }
    seconds = {}
    for way, ask in ways.items():
        began = time.perf_counter()
        table = ask()
        seconds[way] = time.perf_counter() - began
        assert set(table.column("batch").to_pylist()) == {"0"}, way
        print(way, seconds[way], flush=True)
    return seconds


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    images, calls = (1000, 100) if options.quick else (IMAGES, CALLS)
    machine = describe_machine()
    os.environ.pop(REDIS, None)
    began = time.perf_counter()
    import_feast()
    summary = {"import_seconds": time.perf_counter() - began}
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name)) as url:
        scratch = Path(name)
        ids, batches = write_batches(scratch, images)
        files = [path for _, path in batches.values()]
        summary["offline_bytes_a_row"] = files[0].stat().st_size / images
        for place, address in (("sqlite", ""), ("redis", url)):
            os.environ[REDIS] = address
            store = ImageFeatureStore(scratch / place)
            store.push({"1": batches["1"]}, [])
            began = time.perf_counter()
            # The older batch comes later: every image is looked at and written again.
            store.push(batches, [])
            summary[f"push_{place}_seconds"] = time.perf_counter() - began
            runs += read_online(store, ids, calls)
            if place == "redis":
                import redis

                with redis.Redis.from_url(url) as client:
                    size = int(client.info("memory")["used_memory"])
            else:
                size = (store.folder / "online.db").stat().st_size
                seconds = join(store, ids, files)
            summary[f"{place}_bytes_a_row"] = size / images
    for run in runs:
        summary[f"{run['store'].lower()}_p99_ms_of_{run['images']}"] = run["p99_ms"]
    joins: list[Row] = [{"join": way, "seconds": took} for way, took in seconds.items()]
    publish(Report(
        name="features", command="python -m benchmarks.features", machine=machine,
        method=" ".join((__doc__ or "").split()), summary=summary, table=runs, more=[joins],
        runs=[*runs, *joins], limits={"sqlite_p99_ms_of_1": "<= 5", "redis_p99_ms_of_1": "<= 5"},
        page="features.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
