"""A tiny project and real steps over it: what is built is bytes that the test names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mlops_assets.provenance.record import InputRef
from resources.steps import COMMON_SOURCES, GROUPS, Reading, Step, StepResult, Workspace, run_step
from resources.store import ArtifactStore

Files = Mapping[str, bytes]
Build = Callable[[Workspace], None]


def make_project(root: Path) -> Path:
    """A project root with a lock file and one source a package, so that hashing it is fast."""
    sources = [*COMMON_SOURCES, *(f"mlops_assets/{group}" for group in GROUPS)]
    for name in sources:
        path = root / name if name.endswith(".py") else root / name / "code.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"NAME = {name!r}\n")
    (root / "requirements.lock").write_text("nothing==1.0\n")
    return root


class Home:
    """A store and a project; the commit is stated, as in an image without a repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ArtifactStore(folder / "home" / "store")
        self.project = make_project(folder / "project")

    def run(
        self, step: Step, build: Build, *, partition: str | None = None,
        store: ArtifactStore | None = None,
    ) -> list[StepResult]:
        """Run one step as a Dagster run would."""
        return run_step(store or self.store, step, build, project_root=self.project,
                        run_id="run", partition=partition)

    def source(self, asset: str, files: Files, *, partition: str | None = None) -> InputRef:
        """Materialize an asset without inputs from the given files."""
        step = Step("raw", (asset,), config={
            name: content.hex() for name, content in files.items()})
        return self.run(step, filler(asset, files), partition=partition)[0].ref

    def derived(
        self, asset: str, inputs: Mapping[str, Reading], build: Build, *, seed: int = 0,
        store: ArtifactStore | None = None,
    ) -> StepResult:
        """Materialize an asset from others."""
        return self.run(Step("features", (asset,), inputs=inputs, seed=seed), build,
                        store=store)[0]


def filler(asset: str, files: Files) -> Build:
    """A build function that writes the given files."""
    def build(work: Workspace) -> None:
        for name, content in files.items():
            path = work.out(asset) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        work.summary(asset).values["files"] = len(files)
    return build
