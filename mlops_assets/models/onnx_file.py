"""Writing a torch module as an ONNX file whose bytes depend on the module alone."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from torch import Tensor, nn

from mlops_assets.models.dead_taps import trim
from mlops_assets.models.small_maps import specialize

OPSET: Final = 20


def write_onnx(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, *,
    inputs: Sequence[str], outputs: Sequence[str],
    dynamic_shapes: Mapping[str, Any] | None = None,
) -> None:
    """Export ``module`` as it answers ``example``; equal modules give equal bytes.

    Taps of convolutions that meet only padding are left out, which changes no answer, and so are
    the exporter's notes (stack traces with the paths of this machine).

    Raises:
        torch.onnx.OnnxExporterError: an operation has no counterpart in ONNX.
        onnx.checker.ValidationError: the file would not be valid.
    """
    # The exporter prints its progress and warns of its own internals; what matters is checked
    # afterwards, by running the program.
    for name in ("torch.onnx", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(
            module, example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(inputs), output_names=list(outputs),
            dynamic_shapes=None if dynamic_shapes is None else dict(dynamic_shapes),
        )
    if exported is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = exported.model_proto
    _strip_notes(model)
    model = trim(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_batched(program: Path, path: Path) -> int:
    """Write the form of a program that ``specialize`` gives; how many convolutions it rewrote.

    Nothing is written where there is nothing to rewrite.
    """
    model, count = specialize(onnx.load(program))
    if count:
        path.write_bytes(model.SerializeToString(deterministic=True))
    return count


def _strip_notes(model: onnx.ModelProto) -> None:
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info,
                 *graph.initializer, *model.functions):
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]
