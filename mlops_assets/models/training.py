"""The training loop: timm model, optimizer, scheduler and EMA over memory-mapped batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from mlops_assets.config import ConfigError, TrainingSettings
from mlops_assets.contracts.files import HISTORY_FILE
from mlops_assets.features.shards import Shard, read_classes, read_shard
from mlops_assets.models.batches import (
    Augmentation,
    augment,
    channel_moments,
    epoch_order,
    gather_batches,
    step_generator,
)
from mlops_assets.models.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from mlops_assets.models.network import ImageNetwork, NetworkSpec, make_spec, save_network
from mlops_assets.provenance.hashing import canonical_json


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of one epoch. ``accuracy`` and ``validation_loss`` are of the averaged weights."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    learning_rate: float


Report = Callable[[Epoch, float], None]


@dataclass(slots=True)
class Trainer:
    """Everything that changes while training."""

    settings: TrainingSettings
    spec: NetworkSpec
    device: torch.device
    steps: int
    network: ImageNetwork = field(init=False)
    average: Any = field(init=False)
    optimizer: Any = field(init=False)
    scheduler: Any = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        torch.manual_seed(settings.seed)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.network = ImageNetwork(self.spec, pretrained=settings.pretrained)
        self.network.to(self.device).to(memory_format=layout)
        # The decay grows with the steps, so that a short training is not mostly its first weights.
        self.average = ModelEmaV3(
            self.network, decay=settings.ema_decay, use_warmup=True
        )
        self.optimizer = create_optimizer_v2(
            self.network, opt=settings.optimizer, lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.scheduler, _ = create_scheduler_v2(
            self.optimizer, sched=settings.scheduler, num_epochs=settings.epochs,
            warmup_epochs=settings.warmup_share * settings.epochs,  # type: ignore[arg-type]
            warmup_lr=settings.learning_rate / 25, min_lr=settings.learning_rate / 1000,
            step_on_epochs=False, updates_per_epoch=self.steps,
        )

    def run_epoch(self, shard: Shard, epoch: int) -> float:
        """Train on every batch of one epoch; the mean loss."""
        settings = self.settings
        how = Augmentation(settings.flip, settings.shift, settings.erase)
        lossfn = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        network: Any = torch.compile(self.network) if settings.compile else self.network
        network.train()
        order = epoch_order(len(shard.labels), settings.seed, epoch)
        total, count = torch.zeros((), device=self.device), 0
        self.optimizer.zero_grad(set_to_none=True)
        for step, (pixels, labels) in enumerate(gather_batches(shard, order, settings.batch_size)):
            generator = step_generator(settings.seed, epoch, step)
            torch.manual_seed(generator.initial_seed())
            pixels = augment(pixels, how, generator).to(self.device, non_blocking=True)
            labels = labels.to(self.device, non_blocking=True)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.amp == "bf16"):
                loss = lossfn(network(pixels)[0], labels)
            (loss / settings.accumulate).backward()
            total, count = total + loss.detach(), count + 1
            if (step + 1) % settings.accumulate == 0:
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                done = epoch * self.steps + step + 1
                self.average.update(self.network, step=done // settings.accumulate)
                self.scheduler.step_update(done)
        return float(total) / max(1, count)

    def snapshot(self, history: list[Epoch]) -> Checkpoint:
        """All state at the end of an epoch."""
        return Checkpoint(
            history=[asdict(each) for each in history], network=self.network.state_dict(),
            average=self.average.module.state_dict(), optimizer=self.optimizer.state_dict(),
        )

    def restore(self, saved: Checkpoint) -> list[Epoch]:
        """Go on from a checkpoint (the optimizer's state has the learning rate); its epochs."""
        self.network.load_state_dict(saved.network)
        self.average.module.load_state_dict(saved.average)
        self.optimizer.load_state_dict(saved.optimizer)
        return [Epoch(**each) for each in saved.history]


def measure(network: nn.Module, shard: Shard, device: torch.device) -> tuple[float, float]:
    """Accuracy and mean cross-entropy (nats) over a split, in evaluation mode."""
    network.eval()
    correct, loss = 0, 0.0
    lossfn = nn.CrossEntropyLoss(reduction="sum")
    with torch.inference_mode():
        for start in range(0, len(shard.labels), 1000):
            rows = slice(start, start + 1000)
            pixels = torch.from_numpy(shard.images[rows].copy()).to(device)
            labels = torch.from_numpy(shard.labels[rows]).to(device)
            logits: Tensor = network(pixels)[0]
            correct += int((logits.argmax(1) == labels).sum())
            loss += float(lossfn(logits.float(), labels))
    count = max(1, len(shard.labels))
    return correct / count, loss / count


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU, or the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def make_deterministic() -> None:
    """Bit-equal results for equal inputs on equal hardware; slow kernels over fast ones.

    https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def train(
    settings: TrainingSettings, shards: Path, out: Path, checkpoints: Path, report: Report
) -> list[Epoch]:
    """Train from ``shards`` into ``out``: weights, network spec and history.

    ``checkpoints`` is a folder of this training alone; what is there is resumed. ``report`` is
    given each epoch's figures and its seconds.
    """
    torch.set_num_threads(settings.threads)
    if settings.deterministic:
        make_deterministic()
    device = pick_device(settings.device)
    training, validation = read_shard(shards, "train"), read_shard(shards, "validation")
    mean, std = channel_moments(training.images)
    spec = make_spec(settings, read_classes(shards), mean, std)
    batches = len(training.labels) // settings.batch_size
    if batches < settings.accumulate:
        raise ConfigError(
            f"{len(training.labels)} training images do not fill one batch of "
            f"{settings.batch_size} x {settings.accumulate}; lower `training.batch_size`"
        )
    trainer = Trainer(settings, spec, device, batches)
    saved = read_checkpoint(checkpoints)
    history = trainer.restore(saved) if saved else []
    while len(history) < settings.epochs and not _has_stalled(history, settings):
        start = time.perf_counter()
        loss = trainer.run_epoch(training, len(history))
        accuracy, validation_loss = measure(trainer.average.module, validation, device)
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        history.append(Epoch(len(history) + 1, loss, accuracy, validation_loss, rate))
        if len(history) % settings.checkpoint_epochs == 0:
            write_checkpoint(checkpoints, trainer.snapshot(history))
        report(history[-1], time.perf_counter() - start)
    save_network(out, spec, trainer.average.module.state_dict())
    (out / HISTORY_FILE).write_bytes(canonical_json([asdict(each) for each in history]))
    return history


def _has_stalled(history: list[Epoch], settings: TrainingSettings) -> bool:
    patience = settings.early_stop_epochs
    if patience is None or len(history) <= patience:
        return False
    best = max(range(len(history)), key=lambda index: history[index].accuracy)
    return len(history) - 1 - best >= patience
