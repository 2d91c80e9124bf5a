"""int8: every matrix product and every embedding table, with one scale a row of activations.

onnxruntime's own dynamic quantization has one scale for a whole tensor: a text's vectors then
change with its batch, and the longest activation of a batch decides how coarsely all others are
stored. Here each token has its own scale, so that neither is true (figures in `docs/export.md`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from glane.model.session import load_session

DESCRIPTION = "weights int8 per output channel, activations uint8 per token, embeddings per row"
UNSIGNED = ", weights stored as uint8"
"""Added to the description where the products of this CPU saturate."""

MIDDLE = 128
"""What a weight of 0 is stored as in uint8."""

DOMAIN = "com.microsoft"
"""Of `MatMulIntegerToFloat`, onnxruntime's product of integers with a scaled result."""

TABLE_ROWS = 256
"""Tables of fewer rows stay in fp32: they save nothing."""

CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "int8/tiny": np.array(1e-12, np.float32),
    "int8/step": np.array(1 / 255, np.float32),
    "int8/zero": np.array(0, np.uint8),
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


def quantize(source: Path, target: Path, *, unsigned: bool | None = None) -> None:
    """Write the int8 version of an fp32 graph.

    Args:
        source: Graph of `write_graph`.
        target: The file to write.
        unsigned: Whether weights are stored as uint8: the same numbers, for the products of uint8
            and uint8, which no CPU adds up in 16 bits; by default where this CPU `saturates`.
    """
    unsigned = saturates() if unsigned is None else unsigned
    model = onnx.load(str(source))
    Products(model.graph, unsigned).rewrite()
    quantize_embeddings(model.graph)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.checker.check_model(model)
    onnx.save_model(model, str(target))


def description() -> str:
    """Return how `quantize` does it on this CPU, in words."""
    return DESCRIPTION + (UNSIGNED if saturates() else "")


@cache
def saturates() -> bool:
    """Return whether this CPU's products of uint8 and int8 come out too small.

    Without VNNI (AVX2 alone) onnxruntime adds two of them in 16 bits; found out by multiplying.
    """
    weights = numpy_helper.from_array(np.full((64, 8), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weights"], ["products"])],
        "saturates",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [4, 64])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, [4, 8])],
        [weights],
    )
    opset = helper.make_opsetid("", 17)
    content = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    session = load_session(Path("saturates"), 1, content)
    (products,) = session.run(None, {"rows": np.full((4, 64), 255, np.uint8)})
    return bool((np.asarray(products) != 64 * 255 * 127).any())


class Products:
    """Rewrites each product x W with a constant weight W as one of integers.

    With W ≈ w s, w int8 and s one scale a column, and each row of x as low + range u, u in [0, 1]
    in steps of 1/255:

        x W ≈ range (u w) s + low (sum of the rows of w) s

    A range on both sides of 0, [-m, m] with m the largest absolute value, would save the second
    term, a fifteenth of the time of short texts, and costs half as much error again.
    """

    def __init__(self, graph: onnx.GraphProto, unsigned: bool) -> None:
        """Take a graph, which `rewrite` changes; `unsigned` weights are stored as uint8."""
        self.graph = graph
        self.middle = ("int8/middle", "int8/middle/float") if unsigned else None
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Weight] = {}
        self.rows: set[str] = set()

    def rewrite(self) -> None:
        """Rewrite the products; weights that nothing else reads are dropped."""
        for name, value in CONSTANTS.items():
            self._add_tensor(name, value)
        self._rewrite_nodes(self.graph)
        read = _names_read(self.graph)
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def _rewrite_nodes(self, graph: onnx.GraphProto) -> None:
        """Rewrite the nodes of a graph, and of the loops in it, whose constants lie outside."""
        outside, self.nodes = self.nodes, []
        for node in graph.node:
            for body in _bodies(node):
                self._rewrite_nodes(body)
            if node.op_type == "MatMul" and self._is_weight(node.input[1]):
                self._product(*node.input, *node.output)
            elif node.input and node.input[0] in self.weights and _looks_up(node, axis=1):
                weight = self._weight(node.input[0])
                self.nodes += _lookup(node, weight.values, weight.scales, 1, self.middle)
            else:
                self.nodes.append(node)
        del graph.node[:]
        graph.node.extend(self.nodes)
        self.nodes = outside

    def _is_weight(self, name: str) -> bool:
        tensor = self.tensors.get(name)
        return tensor is not None and _is_matrix(tensor)

    def _product(self, x: str, weight: str, output: str) -> None:
        """Put the product of integers in the place of `output = x weight`."""
        values, scales, sums = self._weight(weight)
        self._quantize_rows(x)
        inputs = [f"{x}/uint8", values, "int8/step", scales, "int8/zero"]
        inputs += self.middle[:1] if self.middle else ()
        self._node("MatMulIntegerToFloat", inputs, f"{output}/unit", domain=DOMAIN)
        self._node("Mul", [f"{output}/unit", f"{x}/range"], f"{output}/ranged")
        self._node("Mul", [f"{x}/low", sums], f"{output}/shift")
        self._node("Add", [f"{output}/ranged", f"{output}/shift"], output)

    def _quantize_rows(self, x: str) -> None:
        """Bring each row of x into uint8, once for all products that read it."""
        if x in self.rows:
            return
        self.rows.add(x)
        self._node("ReduceMin", [x], f"{x}/low", axes=[-1], keepdims=1)
        self._node("ReduceMax", [x], f"{x}/high", axes=[-1], keepdims=1)
        self._node("Sub", [f"{x}/high", f"{x}/low"], f"{x}/width")
        self._node("Max", [f"{x}/width", "int8/tiny"], f"{x}/range")
        self._node("Sub", [x, f"{x}/low"], f"{x}/above")
        self._node("Div", [f"{x}/above", f"{x}/range"], f"{x}/unit")
        self._node("QuantizeLinear", [f"{x}/unit", "int8/step", "int8/zero"], f"{x}/uint8")

    def _weight(self, name: str) -> Weight:
        if name not in self.weights:
            weight = numpy_helper.to_array(self.tensors[name])
            values, scales = _to_int8(weight, axis=0)
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


def quantize_embeddings(graph: onnx.GraphProto) -> None:
    """Replace each embedding table that is only looked up by an int8 table, one scale a row."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for table in list(graph.initializer):
        nodes, name = readers.get(table.name, []), table.name
        large = _is_matrix(table) and table.dims[0] >= TABLE_ROWS
        if large and all(_looks_up(node, axis=0) and node.input[0] == name for node in nodes):
            values, scales = _to_int8(numpy_helper.to_array(table), axis=1)
            graph.initializer.append(numpy_helper.from_array(values, f"{name}/int8"))
            graph.initializer.append(numpy_helper.from_array(scales, f"{name}/scales"))
            for node in nodes:
                position = list(graph.node).index(node)
                graph.node.remove(node)
                new = _lookup(node, f"{name}/int8", f"{name}/scales", axis=0)
                for offset, other in enumerate(new):
                    graph.node.insert(position + offset, other)
            graph.initializer.remove(table)


def _is_matrix(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2)


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _names_read(graph: onnx.GraphProto) -> set[str]:
    """Return the names that any node of a graph, or of the loops in it, reads."""
    names = {name for node in graph.node for name in node.input}
    return names.union(*(_names_read(body) for node in graph.node for body in _bodies(node)))


def _looks_up(node: onnx.NodeProto, axis: int) -> bool:
    found = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return bool(node.op_type == "Gather" and found == axis)


def _lookup(
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


def _to_int8(
    matrix: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 values, and the scales that were taken along an axis, which is kept."""
    scales = np.abs(matrix).max(axis, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)
