"""The training loop that one writes without a platform; ``python -m benchmarks.bare_loop JOB``.

``JOB`` is a JSON file with ``shards`` (a folder), ``settings`` (as ``TrainingSettings``) and
``out`` (where the result goes). Data are tensors in RAM; nothing of this project is imported, no
checkpoint is written and no determinism is asked for.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional


def load_split(shards: Path, split: str) -> tuple[Tensor, Tensor]:
    """Pixels uint8 ``[N, H, W, C]`` and labels int64 ``[N]``, in RAM."""
    return (torch.from_numpy(np.load(shards / f"{split}-images.npy")),
            torch.from_numpy(np.load(shards / f"{split}-labels.npy")))


def augment(pixels: Tensor, *, shift: int, flip: bool) -> Tensor:
    """A random translation and flip of each image."""
    count, height, width, _ = pixels.shape
    if shift:
        padded = functional.pad(pixels, (0, 0, shift, shift, shift, shift))
        moves = torch.randint(0, 2 * shift + 1, (2, count, 1))
        rows = (moves[0] + torch.arange(height))[:, :, None]
        columns = (moves[1] + torch.arange(width))[:, None, :]
        pixels = padded[torch.arange(count)[:, None, None], rows, columns]
    if flip:
        flips = torch.rand(count) < 0.5
        pixels = torch.where(flips[:, None, None, None], pixels.flip(2), pixels)
    return pixels


class Prepared(nn.Module):
    """A timm model that takes uint8 ``[N, H, W, C]``."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, size: int | None, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.backbone, self.size = backbone, size
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if self.size is not None:
            images = functional.interpolate(images, size=(self.size, self.size), mode="bilinear",
                                            align_corners=False)
        logits: Tensor = self.backbone(images)
        return logits


def accuracy(network: nn.Module, images: Tensor, labels: Tensor, device: str) -> float:
    """Share of right answers."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for some, truth in zip(images.split(1000), labels.split(1000), strict=True):
            right += int((network(some.to(device)).argmax(1) == truth.to(device)).sum())
    return right / len(labels)


def train(shards: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], nn.Module]:
    """Seconds of each epoch and the final accuracy, and the averaged network."""
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    device = settings["device"]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = load_split(shards, "train")
    held_out = load_split(shards, "validation")
    values = images.reshape(-1, images.shape[-1]).float()
    backbone = timm.create_model(
        settings["model"], num_classes=int(labels.max()) + 1, in_chans=images.shape[-1],
        **settings["model_args"],
    )
    network: nn.Module = Prepared(backbone, settings["input_size"], values.mean(0), values.std(0))
    network.to(device)
    if settings["channels_last"]:
        network.to(memory_format=torch.channels_last)
    batch, epochs = settings["batch_size"], settings["epochs"]
    steps = len(labels) // batch
    average = ModelEmaV3(network, decay=settings["ema_decay"], use_warmup=True)
    optimizer = create_optimizer_v2(network, opt=settings["optimizer"],
                                    lr=settings["learning_rate"],
                                    weight_decay=settings["weight_decay"])
    scheduler, _ = create_scheduler_v2(
        optimizer, sched=settings["scheduler"], num_epochs=epochs,
        warmup_epochs=settings["warmup_share"] * epochs,
        warmup_lr=settings["learning_rate"] / 25, min_lr=settings["learning_rate"] / 1000,
        step_on_epochs=False, updates_per_epoch=steps,
    )
    lossfn = nn.CrossEntropyLoss(label_smoothing=settings["label_smoothing"])
    seconds, share, done = [], 0.0, 0
    for _ in range(epochs):
        began = time.perf_counter()
        network.train()
        order = torch.randperm(len(labels))
        for start in range(0, steps * batch, batch):
            rows = order[start : start + batch]
            pixels = augment(images[rows], shift=settings["shift"], flip=settings["flip"])
            with torch.autocast(device, torch.bfloat16, enabled=settings["amp"] == "bf16"):
                loss = lossfn(network(pixels.to(device)), labels[rows].to(device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
            average.update(network, step=done)
            scheduler.step_update(done)
        share = accuracy(average.module, *held_out, device)
        seconds.append(time.perf_counter() - began)
    return {"epoch_seconds": seconds, "accuracy": share}, average.module


def main() -> None:
    """Entry point."""
    job = json.loads(Path(sys.argv[1]).read_bytes())
    result, network = train(Path(job["shards"]), job["settings"])
    out = Path(job["out"])
    torch.save(network.state_dict(), out / "weights.pt")
    (out / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
