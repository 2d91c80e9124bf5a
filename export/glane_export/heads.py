"""The last part of a sparse model's graph: from a vector a token to the terms of highest weight.

It is appended to the traced encoder because tracing cannot write its loop: logits are made a few
positions at a time, so that a batch never holds them all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

BUDGET = 32
"""Positions, of all texts of a batch together, whose logits exist at a time: the logits never
exceed max(`BUDGET`, n_texts) x n_vocabulary numbers, 3.9 MB for 30,522 terms; larger budgets, which
leave the cache, are slower in int8."""

N_TERMS = "n_terms"
MASK = "attention_mask"
TRANSFORMED, HIDDEN = "transformed", "hidden"

LOWEST = np.finfo(np.float32).min


class Head(NamedTuple):
    """The weights behind the encoder, in fp32.

    Attributes:
        decoder: One row a term, shape (n_vocabulary, hidden_size).
        bias: Shape (n_vocabulary,).
        projection: To a term's embedding, shape (dim, hidden_size); None where there is none.
    """

    decoder: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    projection: npt.NDArray[np.float32] | None


def append_head(graph: onnx.GraphProto, head: Head) -> None:
    """Put a head behind an encoder's graph, whose outputs it replaces.

    With `n_terms`, int64, shape (1,), as a further input, at most n_vocabulary of which are given,
    the outputs are `terms`, int64, and `weights`, float32, both of shape (n, n_terms): descending
    by weight, equal weights by lower term, weight 0 for a term that is not active. With a
    projection also `embeddings`, float32, shape (n, n_terms, dim).

    Args:
        graph: Ends in `transformed`, shape (n, length, hidden_size), the input of the decoder,
            and `hidden`, of the same shape, what the encoder puts out.
        head: The weights.
    """
    builder = Builder(graph.node, graph.initializer)
    builder.tensor("decoder", np.ascontiguousarray(head.decoder.T))
    outputs = [("terms", TensorProto.INT64, 2), ("weights", TensorProto.FLOAT, 2)]
    _terms(builder, _best_logits(builder, len(head.decoder)), head.bias)
    if head.projection is not None:
        outputs.append(("embeddings", TensorProto.FLOAT, 3))
        _embeddings(builder, head.projection)
    graph.input.append(helper.make_tensor_value_info(N_TERMS, TensorProto.INT64, [1]))
    del graph.output[:]
    for name, kind, rank in outputs:
        axes = ["n", N_TERMS, "dim"][:rank]
        graph.output.append(helper.make_tensor_value_info(name, kind, axes))


class Builder:
    """Adds nodes and constants, each named after what it gives."""

    def __init__(self, nodes: Any, tensors: Any) -> None:  # noqa: ANN401 (onnx is untyped)
        """Take the lists that nodes and initializers are added to."""
        self.nodes = nodes
        self.tensors = tensors

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 (ONNX attributes)
        """Add a node and return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def tensor(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, *values: int) -> str:
        """Add int64 numbers, shape (n_values,), and return their name."""
        name = "integers/" + ",".join(map(str, values))
        if name not in {tensor.name for tensor in self.tensors}:
            self.tensor(name, np.array(values, np.int64))
        return name


def _best_logits(builder: Builder, n_vocabulary: int) -> str:
    """Add the maximum of each term's logits over the attended positions, bias left out.

    The bias, the same at all positions, is added once to the maximum. A padded position is filled
    with the text's first attended one, so that it never wins.
    """
    node, integers = builder.node, builder.integers
    node("Cast", [MASK], "attended", to=TensorProto.BOOL)
    node("ArgMax", [MASK], "first", axis=1, keepdims=1)
    node("GatherND", [TRANSFORMED, "first"], "first/row", batch_dims=1)
    node("Unsqueeze", ["first/row", integers(1)], "first/vector")
    node("Unsqueeze", ["attended", integers(2)], "attended/column")
    node("Where", ["attended/column", TRANSFORMED, "first/vector"], "filled")

    node("Shape", [MASK], "n", start=0, end=1)
    node("Shape", [MASK], "length", start=1, end=2)
    node("Div", [integers(BUDGET), "n"], "share")
    node("Max", ["share", integers(1)], "chunk")
    node("Add", ["length", "chunk"], "length/above")
    node("Sub", ["length/above", integers(1)], "length/up")
    node("Div", ["length/up", "chunk"], "n_chunks")
    node("Concat", ["n", integers(n_vocabulary)], "best/shape", axis=0)
    lowest = numpy_helper.from_array(np.array([LOWEST], np.float32))
    node("ConstantOfShape", ["best/shape"], "best/start", value=lowest)
    return node("Loop", ["n_chunks", "", "best/start"], "best", body=_chunk(builder))


def _chunk(outer: Builder) -> onnx.GraphProto:
    """Return the body of the loop: the maximum so far and that of the next few positions."""
    one = outer.integers(1)
    body = helper.make_graph(
        [],
        "chunk",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("best/before", TensorProto.FLOAT, ["n", "terms"]),
        ],
        [
            helper.make_tensor_value_info("go_on/after", TensorProto.BOOL, []),
            helper.make_tensor_value_info("best/after", TensorProto.FLOAT, ["n", "terms"]),
        ],
    )
    builder = Builder(body.node, outer.tensors)
    node = builder.node
    node("Mul", ["number", "chunk"], "start")
    node("Add", ["start", "chunk"], "end")
    node("Slice", ["filled", "start", "end", one], "positions")
    node("MatMul", ["positions", "decoder"], "logits")
    node("ReduceMax", ["logits"], "best/here", axes=[1], keepdims=0)
    node("Max", ["best/before", "best/here"], "best/after")
    node("Identity", ["go_on"], "go_on/after")
    return body


def _terms(builder: Builder, best: str, bias: npt.NDArray[np.float32]) -> None:
    """Add the weights, log(1 + ReLU(best logit)), and the choice of the highest.

    A text without a token has no term (`glane.model.scoring.splade_weights`).
    """
    node, integers = builder.node, builder.integers
    node("Add", [best, builder.tensor("bias", bias)], "best/biased")
    node("ReduceMax", [MASK], "any", axes=[1], keepdims=1)
    node("Cast", ["any"], "any/float", to=TensorProto.FLOAT)
    node("Relu", ["best/biased"], "best/active")
    node("Mul", ["best/active", "any/float"], "best/counted")
    node("Add", ["best/counted", builder.tensor("one", np.array(1, np.float32))], "best/above")
    node("Log", ["best/above"], "all_weights")
    node("Min", [N_TERMS, integers(len(bias))], "n_terms/held")
    top = helper.make_node("TopK", ["all_weights", "n_terms/held"], ["weights", "terms"])
    builder.nodes.append(top)


def _embeddings(builder: Builder, projection: npt.NDArray[np.float32]) -> None:
    """Add each chosen term's embedding: w_t · ReLU(W · sum over positions i of softmax_i(l) · h_i).

    w_t is its weight, l its logit, whose bias, the same everywhere, does not change the softmax.
    """
    node, integers = builder.node, builder.integers
    node("Gather", ["decoder", "terms"], "rows/first", axis=1)  # (hidden_size, n, n_terms)
    node("Transpose", ["rows/first"], "rows", perm=[1, 2, 0])
    node("Transpose", [TRANSFORMED], "transformed/across", perm=[0, 2, 1])
    node("MatMul", ["rows", "transformed/across"], "term_logits")  # (n, n_terms, length)
    node("Unsqueeze", ["attended", integers(1)], "attended/row")
    builder.tensor("lowest", np.array(LOWEST, np.float32))
    node("Where", ["attended/row", "term_logits", "lowest"], "term_logits/attended")
    node("Softmax", ["term_logits/attended"], "shares", axis=-1)
    node("MatMul", ["shares", HIDDEN], "contexts")  # (n, n_terms, hidden_size)
    builder.tensor("projection", np.ascontiguousarray(projection.T))
    node("MatMul", ["contexts", "projection"], "embeddings/signed")
    node("Relu", ["embeddings/signed"], "embeddings/unweighed")
    node("Unsqueeze", ["weights", integers(2)], "weights/column")
    node("Mul", ["weights/column", "embeddings/unweighed"], "embeddings")
