"""The service that is soaked: three released models, and a state of serving that keeps changing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from mlops_assets.releases.bento import build_bento
from resources.durable import write_bytes
from tests.model_dir import write_model_dir
from tests.running import ROOT, SPEC, Running, serving

MODELS: Final = 3
WEIGHTS: Final = (0.0, 0.1, 0.5, 1.0)


@dataclass(slots=True)
class Soaked:
    """A running service; ``versions`` of its models by bento tag."""

    running: Running
    versions: dict[str, str]
    _state: Path
    revision: int = 0

    def swap(self) -> None:
        """Publish another state: each model is champion in turn, the next challenger or shadow."""
        self.revision += 1
        first = self.revision % MODELS
        champion, next_one = ([*self.versions] * 2)[first : first + 2]
        other = "shadow" if self.revision % 4 == 0 else "challenger"
        weight = 0.5 if other == "shadow" else WEIGHTS[self.revision % 4]
        slots = {
            slot: SlotAssignment(bento_tag=tag, model_version=self.versions[tag], weight=share)
            for slot, tag, share in (("champion", champion, 1.0), (other, next_one, weight))
        }
        state = RolloutState.model_validate({"revision": self.revision, "slots": slots})
        write_bytes(self._state, state.model_dump_json().encode())


@contextmanager
def soaked(folder: Path, **settings: str) -> Iterator[Soaked]:
    """Build the models and serve them until the block ends."""
    versions = {}
    for seed in range(MODELS):
        card = write_model_dir(folder / f"model-{seed}", seed=seed, pixels=SPEC)
        tag = build_bento(folder / f"model-{seed}", bentoml_home=folder / ".home",
                          project_root=ROOT).tag
        versions[tag] = card.version
    state = folder / "state.json"
    with serving(next(iter(versions)), folder / ".home", folder / "run",
                 MLOPS_SERVICE_FOLLOW=str(state), **settings) as running:
        yield Soaked(running, versions, state)
