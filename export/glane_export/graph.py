"""The graph: from token ids to token vectors or to terms, in fp32, for any batch and length."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor
from transformers import PreTrainedModel

from glane.model import session
from glane_export import heads
from glane_export.given import Given
from glane_export.onnx_files import AXES_AS_INPUT, opset_of, read_onnx, write_onnx
from glane_export.tail import Transformed, Vectors, append_tail, axes_as_inputs
from glane_trainer import ColBERT, SparseEmbed
from glane_trainer.model import Model
from glane_trainer.terms import TermModel

OPSET = 17
"""The newest set whose LayerNormalization both exporter and onnxruntime's fusions know."""

NEWEST_TRACED = 20
"""The newest set that torch traces into."""

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "token_vectors"


class Body(torch.nn.Module):
    """The part of a sparse model that is traced: all before its decoder."""

    def __init__(self, model: TermModel[Any]) -> None:
        """Take a model's parts, which it shares."""
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the decoder's input and the encoder's output, each (n, length, hidden_size)."""
        hidden = self.model.hidden(input_ids, attention_mask)
        return self.model.transform(hidden), hidden


def write_graph(
    model: Model[Any], path: Path, *, half: bool = False, given: Given | None = None
) -> None:
    """Write a model as ONNX.

    Weights of lower precision become fp32; token types are zeros inside the graph, where the
    model has any; dropout is off. The model that is given stays as it is.

    Args:
        model: A model of the trainer. A ColBERT's graph gives `token_vectors`, of length 1, shape
            (n, length, dim); that of a sparse model what `glane_export.heads` says.
        path: The file to write; beyond 2 GB the weights lie beside it.
        half: Whether all but what is behind the encoder of a sparse model, or of a given graph,
            computes in fp16; what goes in and comes out stays as it is.
        given: A graph that takes the place of the encoder.
    """
    with _plain(model) as plain:
        if given is not None:
            graph = in_half(given.encoder(), half and not given.half)
            _complete(graph, plain, given)
        elif isinstance(plain, TermModel):
            graph = in_half(_traced(Body(plain).eval(), [heads.TRANSFORMED, heads.HIDDEN]), half)
            heads.append_head(graph.graph, _head(plain))
        else:
            graph = in_half(_traced(plain, [OUTPUT]), half)
    declare_width(graph, model.checkpoint.dim)
    write_onnx(graph, path)


def _complete(graph: onnx.ModelProto, model: Model[Any], given: Given) -> None:
    """Put behind a given encoder what the model does behind its own."""
    version = opset_of(graph)
    if given.ending == "vectors":
        graph.graph.node.append(helper.make_node("Identity", [given.ending], [OUTPUT]))
        graph.graph.output[0].name = OUTPUT
        return
    width = int(model.encoder.config.hidden_size)
    hidden = torch.zeros(2, 8, width)
    end: torch.nn.Module = Vectors(model) if isinstance(model, ColBERT) else Transformed(model)
    name = OUTPUT if isinstance(model, ColBERT) else heads.TRANSFORMED
    newest = min(version, NEWEST_TRACED)
    tail = _traced(end.eval(), [name], {heads.HIDDEN: hidden}, newest)
    append_tail(graph, tail, name)
    if isinstance(model, TermModel):
        heads.append_head(graph.graph, _head(model))
    if version >= AXES_AS_INPUT:
        axes_as_inputs(graph.graph)


def declare_width(graph: onnx.ModelProto, dim: int) -> None:
    """Declare the width of what a graph gives: the third axis of vectors and of embeddings."""
    for output in graph.graph.output:
        axes = output.type.tensor_type.shape.dim
        if len(axes) == 3:
            axes[2].dim_value = dim


def in_half(graph: onnx.ModelProto, half: bool) -> onnx.ModelProto:
    """Return a graph that computes in fp16, its inputs and outputs as before, where that is asked.

    Which operators stay in fp32, and how what fp16 cannot hold is cut, is onnxruntime's own.
    """
    if not half:
        return graph
    float16 = import_module(f"{session.onnxruntime().__name__}.transformers.float16")
    with _quiet():
        converted: onnx.ModelProto = float16.convert_float_to_float16(graph, keep_io_types=True)
    return converted


def _traced(
    module: torch.nn.Module,
    outputs: list[str],
    inputs: dict[str, Tensor] | None = None,
    version: int = OPSET,
) -> onnx.ModelProto:
    """Return what a module computes, weights included.

    Args:
        module: It takes token ids and a mask, or `inputs`.
        outputs: Names of what it gives.
        inputs: By name; their first two axes are free.
        version: The standard operators it may be written in.
    """
    with tempfile.TemporaryDirectory() as scratch:  # above 2 GB torch writes a file for each weight
        path = Path(scratch) / "traced.onnx"
        _trace(module, path, outputs, inputs or _examples(), version)
        return read_onnx(path)


def _examples() -> dict[str, Tensor]:
    """Return token ids and a mask of two texts."""
    input_ids = torch.arange(1, 17).reshape(2, 8)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 5:] = 0
    return dict(zip(INPUTS, (input_ids, attention_mask), strict=True))


def _trace(
    module: torch.nn.Module,
    path: Path,
    outputs: list[str],
    inputs: dict[str, Tensor],
    version: int,
) -> None:
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: {0: "n", 1: "length"} for name in (*inputs, *outputs)},
            opset_version=version,
            dynamo=False,  # docs/export.md: the other exporter's graphs are not fused
        )


def _head(model: TermModel[Any]) -> heads.Head:
    """Return the weights of a model behind its encoder."""
    decoder, projection = model.decoder, None
    if isinstance(model, SparseEmbed):
        projection = model.projection.weight.detach().numpy()
    return heads.Head(
        decoder.weight.detach().numpy(),
        decoder.bias.detach().numpy(),
        projection,
        model.checkpoint.pooling,
        model.checkpoint.activation,
    )


def opset(path: Path) -> int:
    """Return the version of the standard operator set that a graph asks for."""
    return opset_of(onnx.load(str(path), load_external_data=False))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the warnings of tracing and of fp16: parity is what decides."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _plain(model: Model[Any]) -> Iterator[Model[Any]]:
    """Yield a model in fp32, on the CPU, without dropout, its attention spelled out.

    Products and softmax are what onnxruntime fuses best. The weights are copied only where they are
    not so; the model that is given is as it was afterwards.
    """
    fits = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in model.parameters())
    plain = model if fits else copy.deepcopy(model).cpu().float()
    modules = [module for module in plain.modules() if isinstance(module, PreTrainedModel)]
    before = [module.config._attn_implementation or "eager" for module in modules]
    was_training = plain.training
    plain.eval()
    try:
        for module in modules:
            module.set_attn_implementation("eager")
        yield plain
    finally:
        for module, attention in zip(modules, before, strict=True):
            module.set_attn_implementation(attention)
        plain.train(was_training)
