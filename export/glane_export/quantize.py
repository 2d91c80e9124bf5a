"""int8: products with dynamic activations, and embeddings of one scale a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from glane_export.graph import quiet

DESCRIPTION = "dynamic: signed weights per channel, activations per tensor, embeddings per row"

TABLE_ROWS = 256
"""Tables of fewer rows stay in fp32: they save nothing."""


def quantize(source: Path, target: Path) -> None:
    """Write the int8 version of an fp32 graph.

    Weights of matrix products become signed int8 with one scale an output channel; activations
    are quantized while the model runs, with one scale a tensor, so that a vector depends a little
    on its batch. Embedding tables get one scale a row.

    Args:
        source: Graph of `write_graph`.
        target: The file to write.
    """
    with quiet():
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    model = onnx.load(str(target))
    quantize_embeddings(model.graph)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(target))


def quantize_embeddings(graph: onnx.GraphProto) -> None:
    """Replace each embedding table that is looked up by an int8 table with one scale a row.

    onnxruntime's own way has one scale a table, which costs the rare, long rows most
    (`docs/export.md`).
    """
    tables = {table.name: table for table in graph.initializer if _is_table(table)}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for name, table in tables.items():
        if all(_looks_up(node, name) for node in readers.get(name, [])):
            values, scales = _rows_to_int8(numpy_helper.to_array(table))
            graph.initializer.remove(table)
            graph.initializer.append(numpy_helper.from_array(values, f"{name}_int8"))
            graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
            for node in readers.get(name, []):
                _replace(graph, node, name)


def _is_table(tensor: onnx.TensorProto) -> bool:
    floats = tensor.data_type == TensorProto.FLOAT
    return floats and len(tensor.dims) == 2 and tensor.dims[0] >= TABLE_ROWS


def _looks_up(node: onnx.NodeProto, table: str) -> bool:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return bool(node.op_type == "Gather" and node.input[0] == table and axis == 0)


def _rows_to_int8(
    table: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 values and the scale of each row, shape (n_rows, 1)."""
    scales = np.abs(table).max(1, keepdims=True) / 127
    scales[scales == 0] = 1
    return np.rint(table / scales).astype(np.int8), scales.astype(np.float32)


def _replace(graph: onnx.GraphProto, gather: onnx.NodeProto, table: str) -> None:
    """Put Gather, Cast and Mul with the row's scale where a Gather was."""
    ids, output = gather.input[1], gather.output[0]
    nodes = [
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{output}_int8"], axis=0),
        helper.make_node("Cast", [f"{output}_int8"], [f"{output}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}_scales", ids], [f"{output}_scale"], axis=0),
        helper.make_node("Mul", [f"{output}_cast", f"{output}_scale"], [output]),
    ]
    position = list(graph.node).index(gather)
    graph.node.remove(gather)
    for offset, node in enumerate(nodes):
        graph.node.insert(position + offset, node)
