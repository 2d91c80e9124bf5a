"""Which names of a graph hold constants, and weights that are read through other nodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

PRODUCTS = frozenset(
    {"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose"}
    | {"FusedMatMul", "FusedGemm", "FusedConv", "Attention"}
)
"""Operators, onnxruntime's own among them, that multiply what they are given by a weight."""


def see_through(graph: onnx.GraphProto) -> None:
    """Let every node read a weight itself, where it read a copy or a transposition of it.

    Layers that share their weights do so through Identity nodes, tied and shared matrices through
    Transpose; a transposed weight is stored once, however many nodes read it so. Constant nodes
    become initializers.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    given = {output.name for output in graph.output}
    other_names: dict[str, str] = {}
    kept = []
    for node in graph.node:
        _rename(node, other_names)
        output = node.output[0] if len(node.output) == 1 else ""
        tensor = None if output in given else _constant(node, tensors)
        if tensor is None:
            kept.append(node)
            continue
        other_names[output] = tensor.name
        if tensor.name not in tensors:
            tensors[tensor.name] = tensor
            graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs inside a node, such as the body of a loop."""
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def attribute(node: onnx.NodeProto, name: str) -> int:
    """Return an attribute of a node that is an integer, 0 where it is not given."""
    return next((int(entry.i) for entry in node.attribute if entry.name == name), 0)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph in order, those inside of a node before it."""
    for node in graph.node:
        for body in bodies(node):
            yield from all_nodes(body)
        yield node


def is_matrix(tensor: onnx.TensorProto) -> bool:
    """Return whether a tensor is a float32 matrix."""
    return bool(tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2)


def n_products(graph: onnx.GraphProto) -> int:
    """Return how many products with a weight there are, be the other side a constant as well."""
    constants = _initializers(graph)
    count = 0
    for node in all_nodes(graph):
        held = [name in constants for name in node.input if name]
        count += node.op_type in PRODUCTS and any(held[:2])
        if all(held) and not bodies(node):
            constants.update(node.output)
    return count


def _initializers(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a graph's constants, and of those inside of its nodes."""
    names = {tensor.name for tensor in graph.initializer}
    return names.union(*(_initializers(body) for node in graph.node for body in bodies(node)))


def _rename(node: onnx.NodeProto, other_names: dict[str, str]) -> None:
    """Let a node, and those inside of it, read by other names."""
    for position, name in enumerate(node.input):
        node.input[position] = other_names.get(name, name)
    for body in bodies(node):
        for inner in body.node:
            _rename(inner, other_names)
        for output in body.output:
            output.name = other_names.get(output.name, output.name)


def _constant(
    node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]
) -> onnx.TensorProto | None:
    """Return the tensor that a node does no more than to pass on, or None."""
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        return tensor
    source = tensors.get(node.input[0]) if node.input else None
    if source is None or node.op_type == "Identity":
        return source
    if node.op_type != "Transpose" or not is_matrix(source):
        return None
    if [list(attribute.ints) for attribute in node.attribute] == [[0, 1]]:
        return source
    name = f"{source.name}/transposed"
    turned = np.ascontiguousarray(numpy_helper.to_array(source).T)
    return tensors.get(name) or numpy_helper.from_array(turned, name)
