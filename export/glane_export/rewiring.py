"""Brings another's graph into the form of a traced encoder: names, types, free axes, one output."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from glane_export.constants import all_nodes

IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"

NAMES = {
    IDS: ("input_ids", "ids", "input", "tokens", "token_ids"),
    MASK: ("attention_mask", "mask", "input_mask"),
    TYPES: ("token_type_ids", "segment_ids", "token_types"),
    POSITIONS: ("position_ids", "positions"),
}
"""What graphs call their inputs."""

USUAL_OPSET = 17

PREFIX = "given/"


def inputs_of(graph: onnx.ModelProto) -> list[str]:
    """Return the names of what a graph asks for."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    return [value.name for value in graph.graph.input if value.name not in weights]


def known_inputs(graph: onnx.ModelProto) -> dict[str, str]:
    """Return the graph's name of each input that has one of `NAMES`, by the usual name."""
    asked = inputs_of(graph)
    return {role: name for role, names in NAMES.items() for name in asked if name in names}


def rewired(graph: onnx.ModelProto, output: str, ending: str) -> onnx.ModelProto:
    """Return a graph of the usual inputs, free axes and one output in float32.

    Args:
        graph: As it was read; it asks for inputs of `NAMES` alone.
        output: Its output that is taken; what only others need is left out.
        ending: What that output is to be called.
    """
    inputs = known_inputs(graph)
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.graph.input}
    whole = compose.add_prefix(graph, PREFIX)
    body = whole.graph
    rewired = [helper.make_node("Cast", [_inner(output)], [ending], to=TensorProto.FLOAT)]
    ahead = [
        helper.make_node("Cast", [role], [_inner(inputs[role])], to=kinds[inputs[role]])
        for role in (IDS, MASK)
    ]
    for role in (TYPES, POSITIONS):
        if role in inputs:
            make = _zeros if role == TYPES else _positions
            ahead += make(_inner(inputs[role]), kinds[inputs[role]])
    nodes = _leading_to({ending}, [*ahead, *body.node, *rewired])
    body.initializer.extend(_counted())
    read = {name for node in nodes for one in _with_inner(node) for name in one.input}
    tensors = [tensor for tensor in body.initializer if tensor.name in read]
    for field in (body.node, body.input, body.output, body.value_info, body.initializer):
        del field[:]
    body.node.extend(nodes)
    body.initializer.extend(tensors)
    axes = ["n", "length"]
    for role in (IDS, MASK):
        body.input.append(helper.make_tensor_value_info(role, TensorProto.INT64, axes))
    body.output.append(helper.make_tensor_value_info(ending, TensorProto.FLOAT, [*axes, "width"]))
    for entry in whole.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = max(entry.version, USUAL_OPSET)
    return whole


def _inner(name: str) -> str:
    """Return what a name of the given graph is called in the rewired one."""
    return f"{PREFIX}{name}"


def _zeros(name: str, kind: int) -> list[onnx.NodeProto]:
    """Return nodes that make zeros of the shape of the ids."""
    zero = helper.make_tensor("zero", kind, [1], [0])
    shape = f"{name}/shape"
    return [
        helper.make_node("Shape", [IDS], [shape]),
        helper.make_node("ConstantOfShape", [shape], [name], value=zero),
    ]


def _positions(name: str, kind: int) -> list[onnx.NodeProto]:
    """Return nodes that count the tokens of each row from 0; texts are padded behind."""
    shape, n, row, whole = (f"{name}/{part}" for part in ("shape", "length", "row", "int64"))
    return [
        helper.make_node("Shape", [IDS], [shape]),
        helper.make_node("Gather", [shape, f"{PREFIX}one"], [n]),
        helper.make_node("Range", [f"{PREFIX}zero", n, f"{PREFIX}one"], [row]),
        helper.make_node("Expand", [row, shape], [whole]),
        helper.make_node("Cast", [whole], [name], to=kind),
    ]


def _counted() -> list[onnx.TensorProto]:
    values = {"zero": np.array(0, np.int64), "one": np.array(1, np.int64)}
    return [numpy_helper.from_array(value, f"{PREFIX}{name}") for name, value in values.items()]


def _leading_to(wanted: set[str], nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes that a name depends on, in their order."""
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(name for one in _with_inner(node) for name in one.input)
            wanted.update(_given_by_bodies(node))
    return kept[::-1]


def _with_inner(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [node, *(inner for body in bodies for inner in all_nodes(body))]


def _given_by_bodies(node: onnx.NodeProto) -> set[str]:
    """Return what the graphs inside a node give, which may be a name from outside."""
    bodies = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return {output.name for body in bodies for output in body.output}
