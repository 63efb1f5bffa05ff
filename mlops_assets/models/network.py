"""The network: any timm model behind fixed preprocessing, from uint8 pixels to logits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from mlops_assets.config import ConfigError, TrainingSettings
from mlops_assets.provenance.hashing import canonical_json

WEIGHTS_FILE: Final = "weights.safetensors"
NETWORK_FILE: Final = "network.json"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """All that is needed, beside the weights, to build a network again.

    ``mean`` and ``std`` are per channel in grey levels 0-255, of the training split.
    """

    model: str
    model_args: dict[str, Any]
    input_size: int | None
    channels: int
    classes: list[str]
    mean: list[float]
    std: list[float]


class ImageNetwork(nn.Module):
    """Preprocessing and backbone in one module.

    ``forward`` takes pixels uint8 ``[N, H, W, C]`` and gives logits float32 ``[N, K]`` and the
    penultimate layer float32 ``[N, E]``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: NetworkSpec, *, pretrained: bool = False) -> None:
        super().__init__()
        try:
            self.backbone: Any = timm.create_model(
                spec.model, pretrained=pretrained, num_classes=len(spec.classes),
                in_chans=spec.channels, **spec.model_args,
            )
        except (RuntimeError, TypeError) as error:
            near = ", ".join(timm.list_models(f"*{spec.model[:6]}*")[:5]) or "none alike"
            raise ConfigError(
                f"timm can not build `training.model: {spec.model}`: "
                f"{' '.join(str(error).split())}; names like it: {near}"
            ) from error
        self.input_size = spec.input_size
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1), persistent=False)

    def prepare(self, pixels: Tensor) -> Tensor:
        """Normalized float32 ``[N, C, S, S]``, enlarged to ``input_size`` if there is one."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)
        images = (images - self.mean) / self.std
        if self.input_size is not None and images.shape[-1] != self.input_size:
            images = functional.interpolate(
                images, size=(self.input_size, self.input_size), mode="bilinear",
                align_corners=False,
            )
        return images

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and penultimate layer of uint8 pixels."""
        return self.classify(self.backbone.forward_features(self.prepare(pixels)))

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and penultimate layer of the backbone's last features."""
        embedding = self.backbone.forward_head(features, pre_logits=True)
        return self.backbone.get_classifier()(embedding), embedding


def make_spec(
    settings: TrainingSettings, classes: list[str], mean: list[float], std: list[float]
) -> NetworkSpec:
    """The spec that the settings ask for, over data with these classes and channel moments."""
    return NetworkSpec(settings.model, dict(settings.model_args), settings.input_size, len(mean),
                       list(classes), mean, std)


def save_network(folder: Path, spec: NetworkSpec, state: dict[str, Tensor]) -> None:
    """Write spec and weights; equal values give equal bytes."""
    (folder / NETWORK_FILE).write_bytes(canonical_json(asdict(spec)))
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    save_file(plain, folder / WEIGHTS_FILE)


def read_spec(folder: Path) -> NetworkSpec:
    """The spec of a saved network."""
    return NetworkSpec(**json.loads((folder / NETWORK_FILE).read_bytes()))


def load_network(folder: Path) -> ImageNetwork:
    """A saved network in evaluation mode, on the CPU."""
    network = ImageNetwork(read_spec(folder))
    network.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return network.eval()
