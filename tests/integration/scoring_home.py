"""A store with a tiny exported model, and the scoring of a folder in it, as a process of its own.

``python -m tests.integration.scoring_home HOME IMAGES KILL_AT`` scores, and kills itself with
SIGKILL within the writing of chunk number ``KILL_AT``.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from mlops_assets.config import ScoringSettings
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.monitoring import scoring
from mlops_assets.provenance.record import InputRef
from resources.engine import Engine, Threads
from resources.folders import Folder, LocalFolder, hash_listing, list_files
from resources.steps import Step, StepResult, Workspace
from tests.digits import SIDE
from tests.model_dir import write_model_dir
from tests.small_store import Home

SPEC = PixelSpec(height=SIDE, width=SIDE, channels=1)
SETTINGS = ScoringSettings(batch_size=16, chunk_images=48, threads=2)


class ScoringHome(Home):
    """``score`` runs the step as the asset does."""

    def export(self, *, seed: int = 0) -> InputRef:
        """Materialize an exported model, not trained."""
        def build(work: Workspace) -> None:
            work.out("exported_model").rmdir()
            write_model_dir(work.folder / "exported_model", seed=seed, pixels=SPEC)

        return self.run(Step("models", ("exported_model",), seed=seed), build)[0].ref

    @property
    def work(self) -> Path:
        """Where progress is kept."""
        return self.folder / "home" / "work"

    def score(
        self, folder: Folder, settings: ScoringSettings = SETTINGS, partition: str = "new",
        engine: Engine | None = None,
    ) -> StepResult:
        """Score a folder; progress stays when it does not end."""
        files, engine = list_files(folder, threads=2), engine or Threads(settings.threads)
        step = Step(
            "monitoring", ("batch_predictions",),
            pinned={"exported_model": self.store.pin("exported_model")},
            config={"files_sha256": hash_listing(files), "chunk": settings.chunk_images},
        )
        return self.run(
            step,
            lambda work: scoring.build_batch_predictions(
                settings, folder, files, self.work / work.step_key, work, engine),
            partition=partition,
        )[0]


def main() -> None:
    home, images, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    written = scoring.write_bytes
    count = 0

    def killing(path: Path, content: bytes) -> None:
        nonlocal count
        if count == kill_at:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.half").write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        written(path, content)

    scoring.write_bytes = killing
    ScoringHome(home).score(LocalFolder(images))


if __name__ == "__main__":
    main()
