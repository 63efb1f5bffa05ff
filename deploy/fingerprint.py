"""What the running programs were started with, as one hash."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mlops_assets.config import CONFIG_VARIABLE, PROJECT_ROOT
from mlops_assets.provenance.hashing import sha256_file, sha256_json, source_sha256

SOURCES: Final = ("mlops_assets", "resources", "sensors", "bentos", "deploy", "ui/server")
SETTING_PREFIXES: Final = ("MLOPS", "PLATFORM", "DAGSTER", "MLFLOW", "BENTOML")


def fingerprint(files: Sequence[str], environment: Mapping[str, str]) -> str:
    """Hash over code, settings, generated ``files`` and the settings in ``environment``.

    A platform with another fingerprint runs old code or old settings and must be restarted.
    """
    configs = Path(os.environ.get(CONFIG_VARIABLE, PROJECT_ROOT / "configs"))
    return sha256_json({
        "sources": source_sha256(PROJECT_ROOT, SOURCES),
        "configs": {str(path): sha256_file(path) for path in sorted(configs.rglob("*.yaml"))},
        "files": list(files),
        "environment": {
            key: value for key, value in sorted(environment.items())
            if key.startswith(SETTING_PREFIXES)
        },
    })
