"""The graph: from token ids to normalised token vectors, in fp32, for any batch and length."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from transformers import PreTrainedModel

OPSET = 17
"""The newest set whose LayerNormalization both exporter and onnxruntime's fusions know."""

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "token_vectors"


def write_graph(model: torch.nn.Module, path: Path) -> None:
    """Write a model as one ONNX file.

    Weights of lower precision become fp32; token types are zeros inside the graph, where the
    model has any; dropout is off. The model that is given stays as it is.

    Args:
        model: Takes `input_ids` and `attention_mask`, int64, shape (n, length), and returns
            vectors of length 1, shape (n, length, dim).
        path: The file to write.
    """
    model = copy.deepcopy(model).cpu()
    model.float().eval()
    _use_plain_attention(model)
    input_ids = torch.arange(1, 17).reshape(2, 8)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 5:] = 0
    axes = {name: {0: "n", 1: "length"} for name in (*INPUTS, OUTPUT)}
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            model,
            (input_ids, attention_mask),
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # docs/export.md: the other exporter's graphs are not fused
        )


def opset(path: Path) -> int:
    """Return the version of the standard operator set that a graph asks for."""
    imports = onnx.load(str(path), load_external_data=False).opset_import
    return int(next(entry.version for entry in imports if entry.domain in ("", "ai.onnx")))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the warnings of tracing: parity is what decides."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _use_plain_attention(model: torch.nn.Module) -> None:
    """Spell attention out as products and softmax, which onnxruntime fuses best."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation("eager")
