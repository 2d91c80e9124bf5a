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

from glane.model.checkpoint import Activation, Pooling

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
        pooling: How a term's weight comes from its logits at all positions.
        activation: What is done with a logit before log(1 + x).
    """

    decoder: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    projection: npt.NDArray[np.float32] | None = None
    pooling: Pooling = "max"
    activation: Activation = "relu"


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
    builder.tensor("bias", head.bias)
    builder.tensor("one", np.array(1, np.float32))
    _chunks(builder, len(head.decoder))
    if head.pooling == "max":
        _terms(builder, _weights_of_best(builder, head.activation), len(head.bias))
    else:
        _terms(builder, _summed_weights(builder, head.activation), len(head.bias))
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


def _chunks(builder: Builder, n_vocabulary: int) -> None:
    """Add what both poolings need: which positions count, and how many are taken at a time."""
    node, integers = builder.node, builder.integers
    node("Cast", [MASK], "attended", to=TensorProto.BOOL)
    node("Unsqueeze", ["attended", integers(2)], "attended/column")
    node("Shape", [MASK], "n", start=0, end=1)
    node("Shape", [MASK], "length", start=1, end=2)
    node("Div", [integers(BUDGET), "n"], "share")
    node("Max", ["share", integers(1)], "chunk")
    node("Add", ["length", "chunk"], "length/above")
    node("Sub", ["length/above", integers(1)], "length/up")
    node("Div", ["length/up", "chunk"], "n_chunks")
    node("Concat", ["n", integers(n_vocabulary)], "terms/shape", axis=0)


def _weights_of_best(builder: Builder, activation: Activation) -> str:
    """Add the weights of the maximum of each term's logits over the attended positions.

    The bias, the same at all positions, is added once to the maximum. A padded position is filled
    with the text's first attended one, so that it never wins. A text without a token has no term
    (`glane.model.scoring.splade_weights`).
    """
    node, integers = builder.node, builder.integers
    node("ArgMax", [MASK], "first", axis=1, keepdims=1)
    node("GatherND", [TRANSFORMED, "first"], "first/row", batch_dims=1)
    node("Unsqueeze", ["first/row", integers(1)], "first/vector")
    node("Where", ["attended/column", TRANSFORMED, "first/vector"], "filled")
    body = Chunk(builder, "filled")
    body.node("ReduceMax", ["logits"], "here", axes=[1], keepdims=0)
    body.node("Max", ["before", "here"], "after")
    best = body.loop(float(LOWEST))
    node("Add", [best, "bias"], "best/biased")
    node("ReduceMax", [MASK], "any", axes=[1], keepdims=1)
    node("Cast", ["any"], "any/float", to=TensorProto.FLOAT)
    node("Mul", ["best/biased", "any/float"], "best/counted")
    return _saturated(builder, "best/counted", activation)


def _summed_weights(builder: Builder, activation: Activation) -> str:
    """Add the sum of each term's weights over the attended positions."""
    node, integers = builder.node, builder.integers
    node("Cast", ["attended/column"], "counts", to=TensorProto.FLOAT)
    body = Chunk(builder, TRANSFORMED)
    body.node("Slice", ["counts", "start", "end", integers(1)], "counts/here")
    body.node("Add", ["logits", "bias"], "logits/biased")
    weights = _saturated(body, "logits/biased", activation)
    body.node("Mul", [weights, "counts/here"], "weights/counted")
    body.node("ReduceSum", ["weights/counted", integers(1)], "here", keepdims=0)
    body.node("Add", ["before", "here"], "after")
    return body.loop(0.0)


class Chunk(Builder):
    """The loop over positions: `logits` of the next few, and from `before` to `after`."""

    def __init__(self, outer: Builder, vectors: str) -> None:
        """Begin it with the logits.

        Args:
            outer: The graph around it, which holds its constants.
            vectors: What the decoder is given, shape (n, length, width).
        """
        kinds: dict[str, tuple[int, list[str]]] = {
            "number": (TensorProto.INT64, []),
            "go_on": (TensorProto.BOOL, []),
        }
        state = (TensorProto.FLOAT, ["n", "terms"])
        entries = {**kinds, "before": state}
        exits = {"go_on/after": kinds["go_on"], "after": state}
        self.graph = helper.make_graph(
            [],
            "chunk",
            [helper.make_tensor_value_info(name, *kind) for name, kind in entries.items()],
            [helper.make_tensor_value_info(name, *kind) for name, kind in exits.items()],
        )
        super().__init__(self.graph.node, outer.tensors)
        self.outer = outer
        self.node("Mul", ["number", "chunk"], "start")
        self.node("Add", ["start", "chunk"], "end")
        self.node("Slice", [vectors, "start", "end", outer.integers(1)], "positions")
        self.node("MatMul", ["positions", "decoder"], "logits")

    def loop(self, first: float) -> str:
        """Add the loop, which begins with a number for every term, and return its result."""
        self.node("Identity", ["go_on"], "go_on/after")
        start = numpy_helper.from_array(np.array([first], np.float32))
        self.outer.node("ConstantOfShape", ["terms/shape"], "loop/start", value=start)
        return self.outer.node("Loop", ["n_chunks", "", "loop/start"], "pooled", body=self.graph)


def _saturated(builder: Builder, logits: str, activation: Activation) -> str:
    """Add log(1 + ReLU(x)), or log(1 + log(1 + ReLU(x))), of each logit."""
    out = builder.node("Relu", [logits], f"{logits}/active")
    for _ in range(2 if activation == "log1p_relu" else 1):
        above = builder.node("Add", [out, "one"], f"{out}/above")
        out = builder.node("Log", [above], f"{above}/log")
    return out


def _terms(builder: Builder, weights: str, n_vocabulary: int) -> None:
    """Add the choice of the terms of highest weight."""
    node, integers = builder.node, builder.integers
    node("Min", [N_TERMS, integers(n_vocabulary)], "n_terms/held")
    top = helper.make_node("TopK", [weights, "n_terms/held"], ["weights", "terms"])
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
