"""What a model does behind its encoder, put behind a graph that ends there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import compose, numpy_helper
from torch import Tensor

from glane_export.constants import all_nodes
from glane_trainer import ColBERT

PREFIX = "tail/"


class Vectors(torch.nn.Module):
    """The end of a ColBERT: projection, and length 1."""

    def __init__(self, model: ColBERT) -> None:
        """Take a model's projection, which it shares."""
        super().__init__()
        self.projection = model.projection

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the vectors, (n, length, dim), of the encoder's output."""
        projected = hidden if self.projection is None else self.projection(hidden)
        return torch.nn.functional.normalize(projected, dim=-1)


class Transformed(torch.nn.Module):
    """What a sparse model does between its encoder and its decoder."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 (a TermModel of any kind)
        """Take a model's parts, which it shares."""
        super().__init__()
        self.model = model

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the decoder's input, (n, length, width), of the encoder's output."""
        transformed: Tensor = self.model.transform(hidden)
        return transformed


def append_tail(graph: onnx.ModelProto, tail: onnx.ModelProto, output: str) -> None:
    """Put a traced module behind a graph.

    Args:
        graph: With an output, which is the input of the same name that the module takes.
        tail: The module's graph, of one input and one output.
        output: What the latter is to be called.
    """
    (entry,), (end,) = tail.graph.input, tail.graph.output
    renamed = compose.add_prefix(tail, PREFIX)
    names = {f"{PREFIX}{entry.name}": entry.name, f"{PREFIX}{end.name}": output}
    for node in all_nodes(renamed.graph):
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    graph.graph.node.extend(renamed.graph.node)
    graph.graph.initializer.extend(renamed.graph.initializer)
    new = renamed.graph.output[0]
    new.name = output
    del graph.graph.output[:]
    graph.graph.output.append(new)


def axes_as_inputs(graph: onnx.GraphProto) -> None:
    """Bring reductions that say as an attribute what is reduced into the form of opset 18."""
    for number, node in enumerate(all_nodes(graph)):
        axes = next((entry for entry in node.attribute if entry.name == "axes"), None)
        if axes is None or not node.op_type.startswith("Reduce"):
            continue
        name = f"{PREFIX}axes/{number}"
        graph.initializer.append(numpy_helper.from_array(np.array(axes.ints, np.int64), name))
        node.attribute.remove(axes)
        node.input.append(name)
