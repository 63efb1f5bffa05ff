"""Backends that run the network with torch: eager, and compiled ahead of time."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.models.backends.backend import Backend, Loaded, Run, Sources
from mlops_assets.models.programs import Outputs

if TYPE_CHECKING:
    from mlops_assets.models.export import Program

PACKAGE_FILE = "aotinductor.pt2"


def _program(sources: Sources) -> Program:
    """The trained network as it is exported, channels last."""
    import torch

    from mlops_assets.models.export import Program
    from mlops_assets.models.network import load_network

    torch.set_num_threads(sources.threads)
    network = load_network(sources.trained).to(memory_format=torch.channels_last)
    return Program(network).eval()


def _runner(module: Any) -> Run:
    import torch

    def run(images: NDArray[np.uint8]) -> Outputs:
        # A copy: torch warns of memory that it may not write, as memory-mapped images are.
        with torch.inference_mode():
            probabilities, embedding = module(torch.from_numpy(np.array(images)))
        return probabilities.numpy(), embedding.numpy()

    return run


def _load_eager(sources: Sources) -> Loaded:
    from mlops_assets.models.network import WEIGHTS_FILE

    size = (sources.trained / WEIGHTS_FILE).stat().st_size
    return Loaded(_runner(_program(sources)), size)


def _load_compiled(sources: Sources) -> Loaded:
    """Export with any batch size, compile to a package of native code, load that."""
    import torch
    from torch import _inductor

    from mlops_assets.contracts.model_card import read_card

    example = torch.zeros((2, *read_card(sources.exported).pixels.shape), dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    path = sources.scratch / PACKAGE_FILE
    with torch.inference_mode():
        exported = torch.export.export(
            _program(sources), (example,), dynamic_shapes={"images": {0: batch}})
        _inductor.aoti_compile_and_package(exported, package_path=str(path))
    return Loaded(_runner(_inductor.aoti_load_package(str(path))), path.stat().st_size)


def _no_compiler(_: Sources) -> str | None:
    found = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
    return None if found else "no C++ compiler"


def torch_eager() -> Backend:
    """The reference of parity: the network as torch runs it, operation by operation."""
    return Backend(name="torch", precision="fp32", missing=lambda _: None, load=_load_eager)


def aotinductor() -> Backend:
    """torch.export and Inductor; with a compiler of C++."""
    return Backend(name="aotinductor", precision="fp32", missing=_no_compiler,
                   load=_load_compiled)
