"""Training by several processes: each has its part of every batch, and they share gradients.

PyTorch's DistributedDataParallel (Li et al. 2020) under torchrun's elastic launcher. The parts of
a batch are of equal size, so that the mean of their gradients is the batch's; batch normalization
sees a part at a time, and its running statistics are those of rank 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import torch
from torch import distributed, nn
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.models.ending import end_with

if TYPE_CHECKING:
    from collections.abc import Iterator

# A worker that dies is found by its peers at the next exchange; the launcher starts all anew.
RESTARTS: Final = 3
PATIENCE: Final = timedelta(minutes=10)
T = TypeVar("T")


class WorkersFailed(PlatformError):
    """The workers of a distributed training failed again and again."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one training; alone unless launched by ``launch``."""

    rank: int = 0
    size: int = 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, with gradients that are the mean over all processes.

        Looking for unused parameters keeps gradients in the buckets of the first step. Buckets
        that are built anew after it would add in another order after a resumption.
        """
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def quiet(self, network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """While gradients accumulate, only the ``last`` step of them exchanges any."""
        if last or not isinstance(network, nn.parallel.DistributedDataParallel):
            return nullcontext()
        silent: AbstractContextManager[None] = network.no_sync()
        return silent

    def gather(self, value: T) -> list[T]:
        """Every process's value, in order of rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def first(self, value: T) -> T:
        """The value of rank 0."""
        if self.size == 1:
            return value
        found = [value]
        distributed.broadcast_object_list(found, src=0)
        return found[0]

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the buffers (running statistics) of rank 0."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, src=0)


@dataclass(frozen=True, slots=True)
class Node:
    """One of several that train together; ``rendezvous`` (host:port) is the first's."""

    index: int
    count: int
    address: str
    rendezvous: str


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group of this worker, which ``launch`` started, until the block ends."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    said = os.environ
    launchers = said["TORCHELASTIC_USE_AGENT_STORE"] == "True"
    store: Store = TCPStore(
        said["MASTER_ADDR"], int(said["MASTER_PORT"]), timeout=PATIENCE,
        is_master=not launchers and said["RANK"] == "0")
    if launchers:
        # It outlives a failed attempt, and with it the addresses of its dead workers.
        store = PrefixStore(f"attempt-{said['TORCHELASTIC_RESTART_COUNT']}", store)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", store=store, rank=int(said["RANK"]),
        world_size=int(said["WORLD_SIZE"]), timeout=PATIENCE)
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def launch(
    processes: int, work: Callable[..., None], *arguments: object, node: Node | None = None
) -> None:
    """Run ``work(*arguments)`` in so many processes (of each node), until all have ended.

    One that dies has all of them started anew, ``RESTARTS`` times; they end with this process,
    however it ends. A node that is lost is waited for.

    Raises:
        WorkersFailed: they failed each time, or ended with an error that a person can act on.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Looking for unused parameters is on purpose, see `wrap`; PyTorch warns of it each time.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    nodes = node.count if node else 1
    config = LaunchConfig(
        min_nodes=nodes, max_nodes=nodes, nproc_per_node=processes, run_id="training",
        rdzv_backend="c10d", rdzv_endpoint=node.rendezvous if node else "localhost:0",
        rdzv_configs=_meet(node) if node else {}, local_addr=node.address if node else None,
        max_restarts=RESTARTS, monitor_interval=0.2, start_method="spawn",
    )
    try:
        ended = elastic_launch(config, _work)(os.getpid(), work, arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise WorkersFailed(
            f"training by {nodes * processes} processes failed {RESTARTS + 1} times; rank {rank} "
            f"ended with {failure.exitcode}: {_brief(failure.message)}") from error
    said = [ended[rank] for rank in sorted(ended) if ended[rank] is not None]
    if said:
        raise WorkersFailed(said[0])


def _meet(node: Node) -> dict[str, Any]:
    """How nodes find each other; images may take a while to reach one of them."""
    # A launcher's restarts are its own, so that they number no attempt of all nodes: each has a
    # store of its own in place of the launchers'.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    seconds = int(PATIENCE.total_seconds())
    return {"is_host": node.index == 0, "read_timeout": seconds, "join_timeout": seconds,
            "timeout": seconds}


def _brief(message: object) -> str:
    text = message.get("message", "") if isinstance(message, dict) else message
    return str(text).strip().splitlines()[-1] if str(text).strip() else "no reason was left"


def _work(
    launcher: int, work: Callable[..., None], arguments: tuple[object, ...]
) -> str | None:
    """In a worker: it may not outlive its launcher, also where that is killed.

    An error that a person can act on is handed back: to start anew would not help.
    """
    end_with(launcher)
    try:
        work(*arguments)
    except PlatformError as error:
        return str(error)
    return None
