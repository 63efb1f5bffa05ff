"""What goes to MLflow of a training, an evaluation and an export."""

from __future__ import annotations

import base64
import io
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from mlops_assets.contracts.summary import Summary

ARCHIVE_PATH = "model/model.tar"


def log_summary(client: Any, run_id: str, summary: Summary, *, prefix: str) -> None:
    """Log a summary's numbers as metrics and its pictures as artifacts below ``prefix/``."""
    for key, value in summary.values.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            client.log_metric(run_id, f"{prefix}.{key}", float(value))
    with tempfile.TemporaryDirectory() as folder:
        for name, png in summary.pictures.items():
            path = Path(folder) / f"{name}.png"
            path.write_bytes(base64.b64decode(png))
            client.log_artifact(run_id, str(path), prefix)


def log_archive(client: Any, run_id: str, folder: Path) -> None:
    """Log an artifact's folder as one tar at ``ARCHIVE_PATH``, so that uploads can not merge."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / Path(ARCHIVE_PATH).name
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for file in sorted(folder.iterdir()):
                content = file.read_bytes()
                entry = tarfile.TarInfo(file.name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        client.log_artifact(run_id, str(path), str(Path(ARCHIVE_PATH).parent))
