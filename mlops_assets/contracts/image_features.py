"""What is known of an image by its id: rows of the feature store.

``event_timestamp`` is when a row became known. A reader names a time, and sees nothing later.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from mlops_assets.contracts.image_statistics import NAMES

FEATURES_FILE: Final = "features.parquet"  # image_features
ENTITY: Final = "image_id"
TIME: Final = "event_timestamp"
LAST_CLASSES: Final = 10
_KEYS: Final = (
    pa.field(ENTITY, pa.string(), nullable=False),
    pa.field(TIME, pa.timestamp("us", tz="UTC"), nullable=False),
)

# One row an image of a batch. `near_duplicate_group` is the smallest id of the images that nearly
# equal it, among those known at the time: its own where there is none.
FEATURES_SCHEMA: Final = pa.schema([
    *_KEYS,
    pa.field("embedding", pa.list_(pa.float32()), nullable=False),
    *(pa.field(name, pa.float32(), nullable=False) for name in NAMES),
    pa.field("near_duplicate_group", pa.string(), nullable=False),
    pa.field("batch", pa.string(), nullable=False),
])

# One row an answer, as things stood after it: `answers` counts those so far, `last_classes` are
# the latest of them, the newest last.
HISTORY_SCHEMA: Final = pa.schema([
    *_KEYS,
    pa.field("predicted_class", pa.string(), nullable=False),
    pa.field("confidence", pa.float32(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("answers", pa.int64(), nullable=False),
    pa.field("last_classes", pa.list_(pa.string()), nullable=False),
])
