"""Products of rows and weights in int8, one scale a row and one a column of the weight."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from glane_export.constants import all_nodes, attribute, bodies, is_matrix
from glane_export.onnx_files import AXES_AS_INPUT

MIDDLE = 128
"""What a weight of 0 is stored as in uint8."""

DOMAIN = "com.microsoft"
"""Of `MatMulIntegerToFloat`, onnxruntime's product of integers with a scaled result."""

CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "int8/tiny": np.array(1e-12, np.float32),
    "int8/zero": np.array(0, np.uint8),
    "int8/last": np.array([-1], np.int64),
    "int8/middle": np.array(MIDDLE, np.uint8),
    "int8/middle/float": np.array(MIDDLE, np.float32),
}


class Weight(NamedTuple):
    """A weight in int8: names of initializers.

    Attributes:
        values: int8, shape (n_in, n_out); or uint8, `MIDDLE` more.
        scales: float32, shape (n_out,).
        sums: float32, shape (1, n_out): the sums of the columns, scaled.
    """

    values: str
    scales: str
    sums: str


class Products:
    """Rewrites each product x W with a constant weight W as one of integers.

    With W ≈ w s, w int8 and s one scale a column, and each row of x as low + range u, u in [0, 1]
    in steps of 1/255, or of 1/127 where it has 7 bits:

        x W ≈ range (u w) s + low (sum of the rows of w) s

    A range on both sides of 0, [-m, m] with m the largest absolute value, would save the second
    term, a fifteenth of the time of short texts, and costs half as much error again.
    """

    def __init__(self, graph: onnx.GraphProto, opset: int, *, unsigned: bool, bits: int) -> None:
        """Take a graph, which `rewrite` changes.

        Args:
            graph: Its products read weights as `see_through` leaves them.
            opset: The version of the standard operators that it asks for.
            unsigned: Whether weights are stored as uint8.
            bits: Of a row's numbers.
        """
        self.graph = graph
        self.opset = opset
        self.middle = ("int8/middle", "int8/middle/float") if unsigned else None
        self.step = np.array(1 / (2**bits - 1), np.float32)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Weight] = {}
        self.rows: dict[str, str] = {}
        self.n_products = 0

    def rewrite(self) -> int:
        """Rewrite products, drop what nothing reads any more; return how many products."""
        for name, value in {**CONSTANTS, "int8/step": self.step}.items():
            self._add_tensor(name, value)
        self._rewrite_nodes(self.graph)
        read = {name for node in all_nodes(self.graph) for name in node.input}
        read.update(output.name for output in self.graph.output)
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        return self.n_products

    def _rewrite_nodes(self, graph: onnx.GraphProto) -> None:
        """Rewrite the nodes of a graph, and of the loops in it, whose constants lie outside."""
        outside, self.nodes = self.nodes, []
        known = dict(self.rows)
        for node in graph.node:
            for body in bodies(node):
                self._rewrite_nodes(body)
            self._rewrite_node(node)
        del graph.node[:]
        graph.node.extend(self.nodes)
        self.nodes, self.rows = outside, known  # what a body made is not seen outside of it

    def _rewrite_node(self, node: onnx.NodeProto) -> None:
        if node.op_type == "MatMul" and self._is_weight(node.input[1]):
            self._product(*node.input, *node.output)
        elif _is_linear(node) and self._is_weight(node.input[1]):
            self._linear(node)
        elif node.input and node.input[0] in self.weights and looks_up(node, axis=1):
            weight = self._weight(node.input[0])
            self.nodes += lookup(node, weight.values, weight.scales, 1, self.middle)
        else:
            self.nodes.append(node)

    def _is_weight(self, name: str) -> bool:
        tensor = self.tensors.get(name)
        return tensor is not None and is_matrix(tensor)

    def _linear(self, node: onnx.NodeProto) -> None:
        """Rewrite a Gemm, a product and a bias in one node."""
        (x, weight), bias, (output,) = node.input[:2], node.input[2:], node.output
        if attribute(node, "transB"):
            weight = self._transposed(weight)
        self._product(x, weight, f"{output}/product" if bias else output)
        if bias:
            self._node("Add", [f"{output}/product", *bias], output)

    def _product(self, x: str, weight: str, output: str) -> None:
        """Put the product of integers in the place of `output = x weight`."""
        values, scales, sums = self._weight(weight)
        row = self._quantized_rows(x)
        inputs = [f"{row}/uint8", values, "int8/step", scales, "int8/zero"]
        inputs += self.middle[:1] if self.middle else ()
        self._node("MatMulIntegerToFloat", inputs, f"{output}/unit", domain=DOMAIN)
        self._node("Mul", [f"{output}/unit", f"{row}/range"], f"{output}/ranged")
        self._node("Mul", [f"{row}/low", sums], f"{output}/shift")
        self._node("Add", [f"{output}/ranged", f"{output}/shift"], output)
        self.n_products += 1

    def _quantized_rows(self, x: str) -> str:
        """Bring each row of x into uint8, once for all products that read it; return its name."""
        if x in self.rows:
            return self.rows[x]
        row = self.rows[x] = f"{x}/{self.n_products}"  # two loops may read the same x
        self._reduce("ReduceMin", x, f"{row}/low")
        self._reduce("ReduceMax", x, f"{row}/high")
        self._node("Sub", [f"{row}/high", f"{row}/low"], f"{row}/width")
        self._node("Max", [f"{row}/width", "int8/tiny"], f"{row}/range")
        self._node("Sub", [x, f"{row}/low"], f"{row}/above")
        self._node("Div", [f"{row}/above", f"{row}/range"], f"{row}/unit")
        self._node("QuantizeLinear", [f"{row}/unit", "int8/step", "int8/zero"], f"{row}/uint8")
        return row

    def _reduce(self, kind: str, x: str, output: str) -> None:
        if self.opset < AXES_AS_INPUT:
            self._node(kind, [x], output, axes=[-1], keepdims=1)
        else:
            self._node(kind, [x, "int8/last"], output, keepdims=1)

    def _transposed(self, name: str) -> str:
        turned = f"{name}/transposed"
        if turned not in self.tensors:
            matrix = np.ascontiguousarray(numpy_helper.to_array(self.tensors[name]).T)
            self.tensors[turned] = numpy_helper.from_array(matrix, turned)
        return turned

    def _weight(self, name: str) -> Weight:
        if name not in self.weights:
            weight = numpy_helper.to_array(self.tensors[name])
            values, scales = to_int8(weight, axis=0)
            stored = (values.astype(np.int16) + MIDDLE).astype(np.uint8) if self.middle else values
            names = Weight(
                self._add_tensor(f"{name}/int8", stored),
                self._add_tensor(f"{name}/scales", scales[0]),
                self._add_tensor(f"{name}/sums", (values * scales).sum(0, keepdims=True)),
            )
            self.weights[name] = names
        return self.weights[name]

    def _add_tensor(self, name: str, value: npt.NDArray[Any]) -> str:
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:  # noqa: ANN401 (ONNX attributes)
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))


def looks_up(node: onnx.NodeProto, axis: int) -> bool:
    """Return whether a node looks rows (axis 0) or columns (axis 1) up in a table."""
    return bool(node.op_type == "Gather" and attribute(node, "axis") == axis)


def lookup(
    gather: onnx.NodeProto,
    values: str,
    scales: str,
    axis: int,
    middle: tuple[str, str] | None = None,
) -> list[onnx.NodeProto]:
    """Return Gather, Cast and Mul with the scale of what is chosen, in the place of a Gather."""
    ids, output = gather.input[1], gather.output[0]
    cast = f"{output}/cast"
    nodes = [
        helper.make_node("Gather", [values, ids], [f"{output}/int8"], axis=axis),
        helper.make_node("Cast", [f"{output}/int8"], [cast], to=TensorProto.FLOAT),
    ]
    if middle:
        nodes.append(helper.make_node("Sub", [cast, middle[1]], [f"{output}/signed"]))
        cast = f"{output}/signed"
    return [
        *nodes,
        helper.make_node("Gather", [scales, ids], [f"{output}/scale"], axis=0),
        helper.make_node("Mul", [cast, f"{output}/scale"], [output]),
    ]


def to_int8(
    matrix: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 values, and the scales that were taken along an axis, which is kept."""
    scales = np.abs(matrix).max(axis, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def _is_linear(node: onnx.NodeProto) -> bool:
    """Return whether a node is x W + b, and no other kind of Gemm."""
    if node.op_type != "Gemm" or attribute(node, "transA"):
        return False
    factors = [entry.f for entry in node.attribute if entry.name in ("alpha", "beta")]
    return all(factor == 1 for factor in factors)
