"""The training loop: timm model, optimizer, scheduler and EMA over memory-mapped batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

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
    count_rows,
    epoch_order,
    gather_batches,
    rows_within,
    step_generator,
)
from mlops_assets.models.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from mlops_assets.models.distributed import Group
from mlops_assets.models.network import (
    ImageNetwork,
    NetworkSpec,
    load_network,
    make_spec,
    read_spec,
    save_network,
)
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
# Batches of the epoch so far, and the sum of their losses.
Keep = Callable[[int, Tensor], None]
ALONE: Final = Group()
MEASURED: Final = 1000


@dataclass(slots=True)
class Trainer:
    """Everything that changes while training."""

    settings: TrainingSettings
    spec: NetworkSpec
    device: torch.device
    steps: int
    start: ImageNetwork | None = None
    group: Group = ALONE
    network: ImageNetwork = field(init=False)
    shared: nn.Module = field(init=False)
    average: Any = field(init=False)
    optimizer: Any = field(init=False)
    scheduler: Any = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        torch.manual_seed(settings.seed)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.network = self.start or ImageNetwork(self.spec, pretrained=settings.pretrained)
        self.network.to(self.device).to(memory_format=layout)
        self.shared = self.group.wrap(self.network)
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

    def run_epoch(
        self, shard: Shard, epoch: int, keep: Keep, begin: int = 0, total: Tensor | None = None
    ) -> float:
        """Train on every batch of one epoch, or from batch ``begin`` on; the mean loss.

        ``total`` is the sum of the losses before. ``keep`` is given both now and then.
        """
        settings, group = self.settings, self.group
        how = Augmentation(settings.flip, settings.shift, settings.erase)
        lossfn = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        network: Any = torch.compile(self.shared) if settings.compile else self.shared
        network.train()
        order = epoch_order(shard.batches, settings.feedback_weight, settings.seed, epoch)
        total = torch.zeros((), device=self.device) if total is None else total.to(self.device)
        count = begin
        self.optimizer.zero_grad(set_to_none=True)
        for step, (pixels, labels) in enumerate(gather_batches(
                shard, order[begin * settings.batch_size:], settings.batch_size,
                rank=group.rank, size=group.size), begin):
            generator = step_generator(settings.seed, epoch, step, group.rank)
            last = (step + 1) % settings.accumulate == 0
            torch.manual_seed(generator.initial_seed())
            pixels = augment(pixels, how, generator).to(self.device, non_blocking=True)
            labels = labels.to(self.device, non_blocking=True)
            with group.quiet(self.shared, last=last):
                with torch.autocast(
                        self.device.type, torch.bfloat16, enabled=settings.amp == "bf16"):
                    loss = lossfn(network(pixels)[0], labels)
                (loss / settings.accumulate).backward()
            total, count = total + loss.detach(), count + 1
            if last:
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                done = epoch * self.steps + step + 1
                self.average.update(self.network, step=done // settings.accumulate)
                self.scheduler.step_update(done)
                if (step + 1) % (settings.checkpoint_steps * settings.accumulate) == 0 \
                        and step + 1 < self.steps:
                    keep(step + 1, total)
        return sum(group.gather(float(total))) / max(1, count * group.size)

    def snapshot(
        self, history: list[Epoch], step: int = 0, losses: Sequence[Tensor] = ()
    ) -> Checkpoint:
        """All state after so many epochs, and so many batches of the next."""
        return Checkpoint(
            history=[asdict(each) for each in history], network=self.network.state_dict(),
            average=self.average.module.state_dict(), optimizer=self.optimizer.state_dict(),
            step=step, losses=list(losses),
        )

    def restore(self, saved: Checkpoint) -> list[Epoch]:
        """Go on from a checkpoint (the optimizer's state has the learning rate); its epochs."""
        self.network.load_state_dict(saved.network)
        self.average.module.load_state_dict(saved.average)
        self.optimizer.load_state_dict(saved.optimizer)
        return [Epoch(**each) for each in saved.history]


def measure(
    network: nn.Module, shard: Shard, device: torch.device, group: Group = ALONE
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy (nats) over a split, in evaluation mode."""
    group.share_buffers(network)
    network.eval()
    correct, loss = 0, 0.0
    lossfn = nn.CrossEntropyLoss(reduction="sum")
    with torch.inference_mode():
        step = rows_within(shard.images, most=MEASURED)
        for start in range(group.rank * step, len(shard.labels), group.size * step):
            rows = slice(start, start + step)
            pixels = torch.from_numpy(shard.images[rows].copy()).to(device)
            labels = torch.from_numpy(shard.labels[rows]).to(device)
            logits: Tensor = network(pixels)[0]
            correct += int((logits.argmax(1) == labels).sum())
            loss += float(lossfn(logits.float(), labels))
    count = max(1, len(shard.labels))
    parts = group.gather((correct, loss))
    return sum(part[0] for part in parts) / count, sum(part[1] for part in parts) / count


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
    settings: TrainingSettings, shards: Path, out: Path, checkpoints: Path, report: Report,
    start: Path | None = None, group: Group = ALONE,
) -> list[Epoch]:
    """Train from ``shards`` into ``out``: weights, network spec and history.

    ``start`` is a trained model to go on from, at a lower rate; another architecture is not gone
    on from. What was learnt before then changes less than between two trainings from nothing.

    ``checkpoints`` is a folder of this training alone; what is there is resumed. ``report`` is
    given each epoch's figures and its seconds. Of a ``group`` every process calls this; rank 0
    writes and reports.

    Raises:
        ConfigError: the batches do not fit the images, or the processes.
    """
    torch.set_num_threads(settings.threads)
    if settings.deterministic:
        make_deterministic()
    device = pick_device(settings.device)
    training, validation = read_shard(shards, "train"), read_shard(shards, "validation")
    mean, std = group.first(
        channel_moments(training.images) if group.rank == 0 else ([0.0], [1.0]))
    spec = make_spec(settings, read_classes(shards), mean, std)
    batches = count_rows(training.batches, settings.feedback_weight) // settings.batch_size
    if batches < settings.accumulate:
        raise ConfigError(
            f"{len(training.labels)} training images do not fill one batch of "
            f"{settings.batch_size} x {settings.accumulate}; lower `training.batch_size`"
        )
    if settings.batch_size % group.size:
        raise ConfigError(
            f"a batch of {settings.batch_size} can not be shared by {group.size} processes evenly; "
            "change `training.batch_size` or `training.processes`")
    known = read_spec(start) if start is not None else spec
    if start is not None and known == replace(spec, mean=known.mean, std=known.std):
        settings = settings.model_copy(
            update={"learning_rate": settings.learning_rate * settings.warm_rate})
        trainer = Trainer(settings, known, device, batches, load_network(start), group)
    else:
        trainer = Trainer(settings, spec, device, batches, group=group)
    spec = trainer.spec
    saved = group.first(read_checkpoint(checkpoints) if group.rank == 0 else None)
    history = trainer.restore(saved) if saved else []
    begin, total = (saved.step, saved.losses[group.rank]) if saved and saved.step else (0, None)

    def keep(step: int, losses: Tensor) -> None:
        every = group.gather(losses.cpu())
        if group.rank == 0:
            write_checkpoint(checkpoints, trainer.snapshot(history, step, every))

    while len(history) < settings.epochs and not _has_stalled(history, settings):
        began = time.perf_counter()
        loss = trainer.run_epoch(training, len(history), keep, begin, total)
        begin, total = 0, None
        accuracy, validation_loss = measure(
            trainer.average.module, validation, device, group)
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        history.append(Epoch(len(history) + 1, loss, accuracy, validation_loss, rate))
        if group.rank == 0:
            if len(history) % settings.checkpoint_epochs == 0:
                write_checkpoint(checkpoints, trainer.snapshot(history))
            report(history[-1], time.perf_counter() - began)
    if group.rank == 0:
        save_network(out, spec, trainer.average.module.state_dict())
        (out / HISTORY_FILE).write_bytes(canonical_json([asdict(each) for each in history]))
    return history


def _has_stalled(history: list[Epoch], settings: TrainingSettings) -> bool:
    patience = settings.early_stop_epochs
    if patience is None or len(history) <= patience:
        return False
    best = max(range(len(history)), key=lambda index: history[index].accuracy)
    return len(history) - 1 - best >= patience
