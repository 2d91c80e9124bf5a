"""int8 where weights are read through other nodes, are shared, or pairs of products saturate."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from glane_export.quantize import Share, description, quantize

Floats = npt.NDArray[np.float32]
RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(size=(16, 16)).astype(np.float32)
X = RANDOM.normal(size=(5, 16)).astype(np.float32)


def write(path: Path, nodes: list[onnx.NodeProto], *, opset: int = 17, **tensors: Floats) -> Path:
    """Write a graph from x, of 16 numbers a row, to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    ids = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=ids, ir_version=8), str(path))
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 (ONNX attributes)
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def run(path: Path) -> Floats:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0], np.float32)


GRAPHS: dict[str, tuple[list[onnx.NodeProto], npt.NDArray[Any]]] = {
    "identity": (
        [
            node("Identity", "w", "copy"),
            node("Identity", "copy", "again"),
            node("MatMul", "x w", "a"),
            node("MatMul", "a again", "y"),
        ],
        X @ WEIGHT @ WEIGHT,
    ),
    "transpose": (
        [
            node("Transpose", "w", "first", perm=[1, 0]),
            node("Transpose", "w", "second", perm=[1, 0]),
            node("MatMul", "x first", "a"),
            node("MatMul", "a second", "y"),
        ],
        X @ WEIGHT.T @ WEIGHT.T,
    ),
    "transpose-of-nothing": (
        [node("Transpose", "w", "t", perm=[0, 1]), node("MatMul", "x t", "y")],
        X @ WEIGHT,
    ),
    "constant": (
        [
            node("Constant", "", "c", value=numpy_helper.from_array(WEIGHT)),
            node("MatMul", "x c", "y"),
        ],
        X @ WEIGHT,
    ),
    "linear": ([node("Gemm", "x w b", "y")], X @ WEIGHT + WEIGHT[0]),
    "linear-transposed": ([node("Gemm", "x w b", "y", transB=1)], X @ WEIGHT.T + WEIGHT[0]),
    "linear-no-bias": ([node("Gemm", "x w", "y")], X @ WEIGHT),
    "of-a-constant": (
        [node("MatMul", "w w", "c"), node("MatMul", "x c", "y")],
        X @ (WEIGHT @ WEIGHT),
    ),
}
WHOLE = {"of-a-constant": Share(1, 2)}
"""What is not all of integers: a product of constants is one, the one by what it gives is not."""


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_weight_is_seen_through_other_nodes_and_stored_once(
    name: str, opset: int, tmp_path: Path
) -> None:
    nodes, expected = GRAPHS[name]
    source = write(tmp_path / "fp32.onnx", nodes, opset=opset, w=WEIGHT, b=WEIGHT[0])
    np.testing.assert_allclose(run(source), expected, atol=1e-4)
    n_products = sum(each.op_type in ("MatMul", "Gemm") for each in nodes)
    share = quantize(source, tmp_path / "int8.onnx")
    assert share == WHOLE.get(name, Share(n_products, n_products))
    found = run(tmp_path / "int8.onnx")
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    tensors = onnx.load(tmp_path / "int8.onnx").graph.initializer
    n_stored = sum(list(tensor.dims) == [16, 16] for tensor in tensors)
    assert n_stored == (2 if name == "of-a-constant" else 1), "there it is a row as well"


@pytest.mark.parametrize(
    "other", [{"alpha": 2.0}, {"beta": 0.5}, {"transA": 1}], ids=["alpha", "beta", "transA"]
)
def test_a_product_of_another_kind_stays_and_is_counted(
    other: dict[str, Any], tmp_path: Path
) -> None:
    nodes = [node("Gemm", "x w b", "y", **other)]
    weight = RANDOM.normal(size=(5, 16)).astype(np.float32) if "transA" in other else WEIGHT
    source = write(tmp_path / "fp32.onnx", nodes, w=weight, b=WEIGHT[0])
    assert quantize(source, tmp_path / "int8.onnx") == Share(0, 1)
    np.testing.assert_array_equal(run(tmp_path / "int8.onnx"), run(source))


def test_products_of_activations_alone_are_not_counted(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t", "y")]
    source = write(tmp_path / "fp32.onnx", nodes)
    assert quantize(source, tmp_path / "int8.onnx") == Share(0, 0)


def saturating(rows: npt.NDArray[np.uint8], weights: npt.NDArray[np.int8]) -> Floats:
    """Return rows times weights as a CPU without VNNI adds them: in pairs, in 16 bits."""
    products = rows[:, :, None].astype(np.int32) * weights[None].astype(np.int32)
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.asarray(np.clip(pairs, -(2**15), 2**15 - 1).sum(1), np.float32)


def values_of(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
    """Return the rows and the weights that a graph of one product multiplies."""
    model = onnx.load(path)
    product = next(n for n in model.graph.node if n.op_type == "MatMulIntegerToFloat")
    model.graph.output.append(
        helper.make_tensor_value_info(product.input[0], TensorProto.UINT8, None)
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = np.asarray(session.run([product.input[0]], {"x": X})[0], np.uint8)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return rows, numpy_helper.to_array(tensors[product.input[1]]).astype(np.int8)


def test_with_seven_bits_no_pair_of_products_saturates(tmp_path: Path) -> None:
    weight = np.where(WEIGHT > 0, np.float32(1), np.float32(0.9))  # all near the largest, 127
    source = write(tmp_path / "fp32.onnx", [node("MatMul", "x w", "y")], w=weight)
    for bits, exact in ((7, True), (8, False)):
        quantize(source, tmp_path / "int8.onnx", bits=bits, unsigned=False)  # type: ignore[arg-type] # a loop
        rows, weights = values_of(tmp_path / "int8.onnx")
        assert rows.max() == 2**bits - 1
        whole = rows.astype(np.float32) @ weights.astype(np.float32)
        assert (saturating(rows, weights) == whole).all() == exact
    quantize(source, tmp_path / "int8.onnx", bits=7)
    room = 0.02 * np.abs(X).max() * 16**0.5
    np.testing.assert_allclose(run(tmp_path / "int8.onnx"), X @ weight, atol=room)
    assert "activations 7 bits per token" in description(7)
    assert "uint8" not in description(7)
