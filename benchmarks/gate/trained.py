"""Champion and candidates that are trained: a small network on Fashion-MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.drift.images import CLASSES, Images, fashion
from benchmarks.gate.kinds import Setting
from benchmarks.gate.planted import DRIFTED, INITIAL
from mlops_assets.config import GateSettings
from mlops_assets.models.gate import GateReport, judge

BATCH: Final = 128
EPOCHS: Final = 4
RATE: Final = 3e-3
FORGOTTEN: Final = 4
KEPT: Final = 0.05

Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class World:
    """Training images, a labelled batch after the drift, and the held-out rows of both.

    ``labels`` and ``drifted`` are of the held-out rows: old ones first, then drifted ones.
    """

    train: Images
    batch: Images
    test: NDArray[np.uint8]
    labels: NDArray[np.int64]
    drifted: NDArray[np.bool_]

    @classmethod
    def make(cls, train: int, batch: int, old: int, drifted: int) -> World:
        """Disjoint images of Fashion-MNIST; the drift is a dark, noisy camera."""
        images, labels = fashion(train + batch + old + drifted)
        cuts = np.cumsum([train, batch, old])
        pixels, names = np.split(images, cuts), np.split(labels, cuts)
        rng = np.random.default_rng(0)
        return cls(
            (pixels[0], names[0]), (darken(pixels[1], rng), names[1]),
            np.concatenate([pixels[2], darken(pixels[3], rng)]), np.concatenate(names[2:]),
            np.arange(old + drifted) >= old,
        )

    @property
    def slices(self) -> dict[str, Right]:
        """As ``model_evaluation`` makes them."""
        return {f"class {each}": self.labels == each for each in range(CLASSES)} | {
            INITIAL: ~self.drifted, DRIFTED: self.drifted}


def darken(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half the contrast, and noise of 25 grey levels."""
    noisy = images * 0.5 + 30 + rng.normal(0, 25, images.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def fit(
    images: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int,
    start: nn.Module | None = None,
) -> nn.Module:
    """Train anew, or go on from ``start`` for two epochs at a tenth of the learning rate."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU(),
        nn.Flatten(), nn.Linear(48 * 49, 96), nn.ReLU(), nn.Linear(96, CLASSES),
    )
    epochs, rate = (EPOCHS, RATE) if start is None else (2, RATE / 10)
    if start is not None:
        network.load_state_dict(start.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * (len(images) // BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].view(-1, BATCH):
            logits = network(_pixels(images[rows.numpy()]))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows.numpy()]))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return network.eval()


def answer(network: nn.Module, world: World) -> Right:
    """Held-out rows that a network gets right, bool ``[N]``."""
    with torch.inference_mode():
        parts = [network(_pixels(world.test[at : at + 1000])).argmax(1).numpy()
                 for at in range(0, len(world.test), 1000)]
    return np.asarray(np.concatenate(parts) == world.labels)


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).float()[:, None] / 255


def train_all(world: World) -> dict[str, Right]:
    """The rows that the champion and each candidate get right, by name."""
    images, labels = world.train
    more = np.concatenate([images, world.batch[0]]), np.concatenate([labels, world.batch[1]])
    kept = (more[1] != FORGOTTEN) | (np.random.default_rng(0).random(len(more[1])) < KEPT)
    champion = fit(images, labels, seed=0)
    return {
        "champion": answer(champion, world),
        "exact copy": answer(champion, world),
        "copy, other seed": answer(fit(images, labels, seed=1), world),
        "copy, trained on": answer(fit(images, labels, seed=2, start=champion), world),
        "repair, trained anew": answer(fit(*more, seed=3), world),
        **{f"repair, trained on{again}": answer(fit(*more, seed=seed, start=champion), world)
           for seed, again in ((4, ""), (5, ", again"), (6, ", a third time"))},
        f"repair without most of class {FORGOTTEN}": answer(
            fit(more[0][kept], more[1][kept], seed=7), world),
    }


def judge_all(
    world: World, found: dict[str, Right], settings: GateSettings
) -> dict[str, GateReport]:
    """What the gate says of each candidate, by name."""
    return {name: judge(right, found["champion"], world.slices, settings, repairs=[DRIFTED])
            for name, right in found.items() if name != "champion"}


def measure(world: World, found: dict[str, Right], copy: str, repair: str) -> Setting:
    """Accuracies of the champion, and on how many rows a copy and a repair disagree with it."""
    champion, batch = found["champion"], world.drifted
    old = {f"class {each}": (world.labels == each) & ~batch for each in range(CLASSES)}
    return Setting(
        accuracy={name: float(champion[rows].mean()) for name, rows in old.items()},
        disagreement={name: float((champion ^ found[repair])[rows].mean())
                      for name, rows in old.items()},
        drifted=float(champion[batch].mean()),
        repair=float(found[repair][batch].mean() - champion[batch].mean()),
        repair_disagreement=float((champion ^ found[repair])[batch].mean()),
        drifted_disagreement=float((champion ^ found[copy])[batch].mean()),
    )
