"""The monitored model: a small convolutional network, and the rows it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.drift.images import CLASSES
from mlops_assets.contracts.image_statistics import describe_images
from mlops_assets.features.statistics import principal_components
from mlops_assets.monitoring.trigger.views import COMPONENTS, Rows

WIDTH: Final = 64
BATCH: Final = 128


class Network(nn.Module):
    """Logits ``[N, 10]`` and the penultimate layer ``[N, 64]`` of float ``[N, 1, 28, 28]``."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 49, WIDTH), nn.ReLU(),
        )
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.body(pixels)
        return self.head(embedding), embedding


@dataclass(frozen=True, slots=True)
class Monitored:
    """A trained network, and what its embedding looks like on its training images.

    ``center`` ``[64]`` and ``components`` ``[16, 64]`` are principal axes, ``means`` ``[10, 64]``
    those of each class and ``precision`` ``[64, 64]`` the inverse covariance they share.
    """

    network: Network
    center: NDArray[np.float32]
    components: NDArray[np.float32]
    means: NDArray[np.float32]
    precision: NDArray[np.float32]

    @classmethod
    def train(cls, images: NDArray[np.uint8], labels: NDArray[np.int64], epochs: int) -> Monitored:
        """AdamW with one cycle of the learning rate."""
        torch.manual_seed(0)
        network = Network()
        steps = epochs * (len(images) // BATCH)
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(epochs):
            order = torch.randperm(len(images))[: len(images) // BATCH * BATCH]
            for rows in order.view(-1, BATCH):
                pixels = torch.from_numpy(images[rows]).float()[:, None] / 255
                loss = nn.functional.cross_entropy(
                    network(pixels)[0], torch.from_numpy(labels[rows]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        network.eval()
        embedding = _answer(network, images)[1]
        means = np.stack([embedding[labels == label].mean(axis=0) for label in range(CLASSES)])
        covariance = np.cov((embedding - means[labels]).T)
        ridge = 1e-3 * np.trace(covariance) / WIDTH * np.eye(WIDTH)
        return cls(network, *principal_components(embedding, COMPONENTS), means,
                   np.linalg.inv(covariance + ridge).astype(np.float32))

    def answer(self, images: NDArray[np.uint8]) -> tuple[Rows, NDArray[np.float32]]:
        """Prediction rows, and the embedding ``[N, 64]`` for peers."""
        probabilities, embedding = _answer(self.network, images)
        projected = (embedding - self.center) @ self.components.T
        away = embedding - self.means[probabilities.argmax(axis=1)]
        beside = embedding - self.center - projected @ self.components
        rows = Rows(
            predicted=probabilities.argmax(axis=1), confidence=probabilities.max(axis=1),
            projected=projected,
            norm=np.linalg.norm(embedding, axis=1), probabilities=probabilities,
            pixels=describe_images(images[..., None]),
            novelty={"class_distance": np.einsum("ni,ij,nj->n", away, self.precision, away),
                     "residual": np.linalg.norm(beside, axis=1)},
        )
        return rows, embedding


def _answer(
    network: Network, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 1000):
            pixels = torch.from_numpy(images[start : start + 1000]).float()[:, None] / 255
            logits, embedding = network(pixels)
            parts.append((logits.softmax(dim=1).numpy(), embedding.numpy()))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
