"""Takes apart what an optimizer of onnxruntime's joined, where that hides a weight or a loss.

`Attention` holds the weights of three products, which int8 could not reach; `FastGelu`, of O3,
approximates the GELU of a model that was trained with another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

DOMAIN = "com.microsoft"

EXACT = frozenset({"gelu", "gelu_python"})
"""What transformers calls the GELU that is not approximated."""

INPUTS = ("input", "weights", "bias", "mask", "past", "attention_bias")
"""The inputs of `Attention`, in their order; further ones are of a cache."""

KEPT = frozenset({"num_heads", "scale", "mask_filter_value", "unidirectional"})
"""Attributes that mean the same in `MultiHeadAttention`; with another, nothing is taken apart."""


def unfuse(graph: onnx.GraphProto, activation: str) -> list[str]:
    """Take the fused nodes of a graph apart.

    Args:
        graph: Is changed.
        activation: What the model's `config.json` calls its activation.

    Returns:
        What was changed, in words.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    counts = {"attention": 0, "gelu": 0}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "FastGelu" and node.domain == DOMAIN and activation in EXACT:
            counts["gelu"] += 1
            nodes.append(_exact(node))
        elif _can_split(node, tensors):
            counts["attention"] += 1
            nodes += _split(graph, node, numpy_helper.to_array(tensors[node.input[1]]))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    told = {
        "attention": "{} Attention nodes into products and MultiHeadAttention",
        "gelu": "{} approximated GELUs into exact ones",
    }
    return [told[name].format(count) for name, count in counts.items() if count]


def _exact(node: onnx.NodeProto) -> onnx.NodeProto:
    kind = "BiasGelu" if len(node.input) == 2 and node.input[1] else "Gelu"
    inputs = list(node.input) if kind == "BiasGelu" else node.input[:1]
    return helper.make_node(kind, inputs, list(node.output), node.name, domain=DOMAIN)


def _can_split(node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto]) -> bool:
    if node.op_type != "Attention" or node.domain != DOMAIN or node.input[1] not in tensors:
        return False
    given = dict(zip(INPUTS, node.input, strict=False))
    plain = {entry.name for entry in node.attribute if entry.i or entry.f or entry.ints} <= KEPT
    in_order = len(node.output) == 1 and len(node.input) <= len(INPUTS)
    return plain and in_order and not given.get("past")


def _split(
    graph: onnx.GraphProto, node: onnx.NodeProto, weights: npt.NDArray[np.generic]
) -> list[onnx.NodeProto]:
    """Return the products of an `Attention` with its weights, and the attention over them.

    Args:
        graph: Takes the weights, shape (n_in, width) each.
        node: The node.
        weights: Of query, key and value side by side, shape (n_in, 3 * width).
    """
    given = dict(zip(INPUTS, node.input, strict=False))
    (output,) = node.output
    nodes, sides = [], []
    for name, weight in zip(("query", "key", "value"), np.split(weights, 3, axis=1), strict=True):
        tensor = f"{given['weights']}/{name}"
        if tensor not in {known.name for known in graph.initializer}:
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weight), tensor))
        sides.append(f"{output}/{name}")
        nodes.append(helper.make_node("MatMul", [given["input"], tensor], [sides[-1]]))
    others = [given.get(name, "") for name in ("bias", "mask", "attention_bias")]
    joined = helper.make_node(
        "MultiHeadAttention", [*sides, *others], [output], node.name, domain=DOMAIN
    )
    joined.attribute.extend(entry for entry in node.attribute if entry.name in KEPT)
    return [*nodes, joined]
