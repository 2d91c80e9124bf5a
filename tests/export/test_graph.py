"""The fp32 graph and its int8 version, against torch and against each other."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from glane.model.saturation import saturates
from glane_export.graph import OPSET, opset, write_graph
from glane_export.products import Products
from glane_export.quantize import (
    UNSIGNED,
    Share,
    description,
    quantize,
    quantize_embeddings,
)
from glane_trainer import ColBERT

Floats = npt.NDArray[np.float32]


def run(path: Path, **feed: npt.NDArray[np.generic]) -> Floats:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0], np.float32)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_batch_and_length_are_free(
    make_checkpoint: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    model = ColBERT.load(make_checkpoint(kind=kind))
    write_graph(model, tmp_path / "model.onnx")
    generator = torch.Generator().manual_seed(0)
    for n, length in ((1, 1), (1, 2), (3, 7), (5, 48)):
        input_ids = torch.randint(1, 300, (n, length), generator=generator)
        attention_mask = torch.ones_like(input_ids)
        attention_mask[0, 1:] = 0
        with torch.inference_mode():
            expected = model(input_ids, attention_mask).numpy()
        found = run(
            tmp_path / "model.onnx",
            input_ids=input_ids.numpy(),
            attention_mask=attention_mask.numpy(),
        )
        mask = attention_mask.numpy() == 1
        np.testing.assert_allclose(found[mask], expected[mask], atol=1e-5)


def test_a_model_in_bf16_is_written_in_fp32_and_left_alone(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = ColBERT.load(checkpoint).to(torch.bfloat16).train()
    write_graph(model, tmp_path / "model.onnx")
    assert model.training
    assert next(model.parameters()).dtype == torch.bfloat16
    assert model.encoder.config._attn_implementation == "sdpa"
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    assert TensorProto.BFLOAT16 not in {tensor.data_type for tensor in graph.initializer}


def test_the_graph_asks_for_ids_and_mask_alone(checkpoint: Path, tmp_path: Path) -> None:
    write_graph(ColBERT.load(checkpoint), tmp_path / "model.onnx")
    graph = onnx.load(str(tmp_path / "model.onnx")).graph
    assert [value.name for value in graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in graph.output] == ["token_vectors"]
    assert opset(tmp_path / "model.onnx") == OPSET


def product_model(weight: Floats) -> onnx.ModelProto:
    """A graph of one product."""
    shape = ["n", weight.shape[0]]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", weight.shape[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (32, 32), (1, 1)])
def test_a_product_of_integers_is_near_the_product(
    shape: tuple[int, int], unsigned: bool, tmp_path: Path
) -> None:
    if saturates() and not unsigned:
        pytest.skip("this CPU adds products of uint8 and int8 in 16 bits")
    random = np.random.default_rng(0)
    weight = random.normal(size=shape).astype(np.float32)
    weight[:, 0] = 0
    onnx.save(product_model(weight), str(tmp_path / "fp32.onnx"))
    share = quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", unsigned=unsigned)
    assert share == Share(1, 1)
    x = random.normal(size=(6, shape[0])).astype(np.float32)
    x[1], x[2], x[3] = 0, 3, np.abs(x[3])  # nothing, no range, one side of 0
    x[4] *= 1e4  # the other rows must not notice
    found, expected = run(tmp_path / "int8.onnx", x=x), x @ weight
    room = 0.02 * np.abs(x).max(1, keepdims=True) * np.abs(weight).max(0) * shape[0] ** 0.5
    assert (np.abs(found - expected) <= room + 1e-6).all()
    assert (found[1] == 0).all()


def test_unsigned_weights_give_the_largest_sums_whole(tmp_path: Path) -> None:
    """Where products are added in 16 bits, signed ones of this size lose half of their sum."""
    weight = np.ones((64, 4), np.float32)
    onnx.save(product_model(weight), str(tmp_path / "fp32.onnx"))
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    assert description().endswith(UNSIGNED) == saturates()
    x = np.ones((2, 64), np.float32)
    x[:, 0] = 0
    np.testing.assert_allclose(run(tmp_path / "int8.onnx", x=x), x @ weight, rtol=1e-5)


def test_a_row_has_the_same_product_whatever_stands_beside_it(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    onnx.save(
        product_model(random.normal(size=(64, 16)).astype(np.float32)), str(tmp_path / "fp32.onnx")
    )
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    scales = np.array([[1], [9], [0.1], [99], [1]], np.float32)
    x = random.normal(size=(5, 64)).astype(np.float32) * scales
    together = run(tmp_path / "int8.onnx", x=x)
    for row in range(5):
        alone = run(tmp_path / "int8.onnx", x=x[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])


def test_a_weight_that_two_products_read_is_stored_once() -> None:
    model = product_model(np.eye(4, dtype=np.float32))
    model.graph.node.append(helper.make_node("MatMul", ["y", "w"], ["z"]))
    assert Products(model.graph, OPSET, unsigned=False, bits=8).rewrite() == 2
    names = [tensor.name for tensor in model.graph.initializer]
    assert names.count("w/int8") == 1
    assert "w" not in names


def lookup_graph(n_rows: int) -> onnx.GraphProto:
    """A graph that looks rows up in a table."""
    table = np.random.default_rng(2).normal(size=(n_rows, 8)).astype(np.float32)
    table[0] = 0
    return helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0)],
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(table, "table")],
    )


def test_an_embedding_keeps_two_digits_of_each_row(tmp_path: Path) -> None:
    graph = lookup_graph(300)
    table = numpy_helper.to_array(graph.initializer[0])
    quantize_embeddings(graph)
    assert "table" not in {tensor.name for tensor in graph.initializer}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.save(model, str(tmp_path / "int8.onnx"))
    found = run(tmp_path / "int8.onnx", ids=np.array([0, 7, 299, 7]))
    np.testing.assert_allclose(found, table[[0, 7, 299, 7]], atol=np.abs(table).max() / 250)


def test_a_small_table_stays_as_it_is() -> None:
    graph = lookup_graph(20)
    quantize_embeddings(graph)
    assert [tensor.name for tensor in graph.initializer] == ["table"]
