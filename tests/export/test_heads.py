"""The head of a sparse model's graph against the plain definition, and in int8."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from glane.model.checkpoint import Activation, Pooling
from glane.model.saturation import saturates
from glane.model.scoring import splade_weights
from glane_export.graph import OPSET
from glane_export.heads import BUDGET, Head, append_head
from glane_export.quantize import quantize

Floats = npt.NDArray[np.float32]

N_VOCABULARY, WIDTH, DIM = 301, 16, 4


def random_head(seed: int = 0, *, embeds: bool = True) -> Head:
    """Weights under which some terms of a text are active."""
    random = np.random.default_rng(seed)
    decoder = random.normal(size=(N_VOCABULARY, WIDTH)).astype(np.float32)
    bias = random.normal(-8, 1, N_VOCABULARY).astype(np.float32)
    projection = random.normal(size=(DIM, WIDTH)).astype(np.float32)
    return Head(decoder, bias, projection if embeds else None)


def write(head: Head, path: Path) -> None:
    """Write a graph of the head alone: the encoder's outputs are its inputs."""
    vectors = ["transformed_given", "hidden_given"]
    shape: list[str | int] = ["n", "length", WIDTH]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in vectors]
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", "length"])
    nodes = [
        helper.make_node("Identity", [name], [name.removesuffix("_given")]) for name in vectors
    ]
    graph = helper.make_graph(nodes, "head", [*inputs, mask], [])
    append_head(graph, head)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def run(path: Path, batch: tuple[Floats, Floats, npt.NDArray[np.int64]], n_terms: int) -> list[Any]:
    names = ("transformed_given", "hidden_given", "attention_mask")
    feed = dict(zip(names, batch, strict=True))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, {**feed, "n_terms": np.array([n_terms])}))


def random_batch(n: int, length: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Vectors of each position, what is padded far larger than what is not."""
    random = np.random.default_rng((n, length))
    mask = random.integers(0, 2, (n, length))
    mask[1:, 0] = 1
    transformed, hidden = random.normal(size=(2, n, length, WIDTH)).astype(np.float32)
    return np.where(mask[..., None], transformed, 50 * transformed), hidden, mask


def defined(
    head: Head, batch: tuple[Floats, Floats, npt.NDArray[np.int64]], n_terms: int
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Terms, weights and embeddings, by the definitions."""
    transformed, hidden, mask = batch
    logits = transformed @ head.decoder.T + head.bias
    weights = splade_weights(logits, mask == 1, xp=np)
    assert head.projection is not None
    terms = np.argsort(-weights, axis=1, kind="stable")[:, :n_terms]
    embeddings = []
    for text in range(len(mask)):
        own = mask[text] == 1
        exponents = np.exp(logits[text, own][:, terms[text]])  # (length, n_terms)
        shares = exponents / exponents.sum(0)
        unweighed = np.maximum(0, shares.T @ hidden[text, own] @ head.projection.T)
        embeddings.append(weights[text, terms[text], None] * unweighed)
    return terms, np.take_along_axis(weights, terms, 1), np.array(embeddings, np.float32)


@pytest.mark.parametrize("length", [1, 2, 7, 2 * BUDGET + 1])
@pytest.mark.parametrize("n", [1, 3, BUDGET, BUDGET + 9])
def test_chunks_of_positions_give_what_the_definition_gives(
    n: int, length: int, tmp_path: Path
) -> None:
    head, batch = random_head(), random_batch(n, length)
    write(head, tmp_path / "head.onnx")
    terms, weights, embeddings = run(tmp_path / "head.onnx", batch, 20)
    expected_terms, expected_weights, expected_embeddings = defined(head, batch, 20)
    assert terms.shape == weights.shape == (n, 20)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    active = weights > 0
    np.testing.assert_array_equal(terms[active], expected_terms[active])
    np.testing.assert_allclose(embeddings[active], expected_embeddings[active], atol=1e-4)


POOLINGS: list[tuple[Pooling, Activation]] = [
    ("max", "log1p_relu"),
    ("sum", "relu"),
    ("sum", "log1p_relu"),
]


@pytest.mark.parametrize(("pooling", "activation"), POOLINGS)
@pytest.mark.parametrize("length", [1, 7, 2 * BUDGET + 1])
@pytest.mark.parametrize("n", [1, 3, BUDGET + 9])
def test_other_poolings_give_what_the_definition_gives(
    n: int, length: int, pooling: Pooling, activation: Activation, tmp_path: Path
) -> None:
    head, batch = random_head(embeds=False), random_batch(n, length)
    head = head._replace(pooling=pooling, activation=activation)
    batch[2][-1] = 0  # a text without a token
    write(head, tmp_path / "head.onnx")
    logits = batch[0] @ head.decoder.T + head.bias
    expected = splade_weights(logits, batch[2] == 1, xp=np, pooling=pooling, activation=activation)
    terms, weights = run(tmp_path / "head.onnx", batch, 20)
    np.testing.assert_allclose(weights, -np.sort(-expected, axis=1)[:, :20], rtol=1e-5, atol=1e-5)
    rows = np.take_along_axis(expected, terms, 1)
    np.testing.assert_allclose(weights, rows, rtol=1e-5, atol=1e-5)
    assert not weights[-1].any()


def test_a_text_without_a_token_has_no_term(tmp_path: Path) -> None:
    transformed, hidden, mask = random_batch(3, 4)
    mask[1] = 0
    write(random_head(), tmp_path / "head.onnx")
    _, weights, embeddings = run(tmp_path / "head.onnx", (transformed, hidden, mask), 20)
    assert (weights.max(1) > 0).tolist() == [True, False, True]
    assert np.isfinite(embeddings).all()


def test_equal_weights_stand_in_order_of_their_terms(tmp_path: Path) -> None:
    head = random_head()
    head.decoder[:] = head.decoder[0]
    head.bias[:] = 1
    write(head, tmp_path / "head.onnx")
    transformed, hidden, mask = random_batch(2, 3)
    mask[:] = 1
    terms, weights, _ = run(tmp_path / "head.onnx", (transformed, hidden, mask), 9)
    assert (weights > 0).all()
    assert terms.tolist() == [list(range(9))] * 2


def test_no_more_terms_are_given_than_there_are(tmp_path: Path) -> None:
    write(random_head(embeds=False), tmp_path / "head.onnx")
    terms, weights = run(tmp_path / "head.onnx", random_batch(2, 3), N_VOCABULARY + 50)
    assert terms.shape == weights.shape == (2, N_VOCABULARY)
    assert (np.diff(weights) <= 0).all()


@pytest.mark.parametrize("n", [2, BUDGET + 1])
def test_logits_never_exceed_the_budget(n: int, tmp_path: Path) -> None:
    write(random_head(), tmp_path / "head.onnx")
    model = onnx.load(str(tmp_path / "head.onnx"))
    body = next(node for node in model.graph.node if node.op_type == "Loop").attribute[0].g
    product = next(node for node in body.node if node.op_type == "MatMul")
    rows = helper.make_node("Shape", ["positions"], ["shape"], start=0, end=2)
    size = helper.make_node("ReduceProd", ["shape"], ["n_rows"], keepdims=0)
    body.node.extend([rows, size])
    body.output.append(helper.make_tensor_value_info("n_rows", TensorProto.INT64, []))
    loop = next(node for node in model.graph.node if node.op_type == "Loop")
    loop.output.append("n_rows_of_all")
    model.graph.output.append(
        helper.make_tensor_value_info("n_rows_of_all", TensorProto.INT64, ["n_chunks"])
    )
    onnx.save(model, str(tmp_path / "counted.onnx"))
    counts = run(tmp_path / "counted.onnx", random_batch(n, 50), 5)[-1]
    assert product.output[0] == "logits"
    assert counts.max() <= max(BUDGET, n)
    assert counts.sum() == 50 * n


def test_int8_reaches_the_product_in_the_loop(tmp_path: Path) -> None:
    head, batch = random_head(), random_batch(5, 40)
    write(head, tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    tensors = {
        tensor.name: tensor.data_type
        for tensor in onnx.load(str(tmp_path / "int8.onnx")).graph.initializer
    }
    assert "decoder" not in tensors
    assert tensors["decoder/int8"] == (TensorProto.UINT8 if saturates() else TensorProto.INT8)
    exact, given = (run(tmp_path / f"{kind}.onnx", batch, 20) for kind in ("fp32", "int8"))
    np.testing.assert_allclose(given[1], exact[1], atol=0.1)
    shared = (given[0] == exact[0]) & (exact[1] > 0)
    assert shared.mean() > 0.5
    room = 0.05 * np.abs(exact[2]).max()
    np.testing.assert_allclose(given[2][shared], exact[2][shared], atol=room)


def test_an_int8_text_has_the_same_terms_whatever_stands_beside_it(tmp_path: Path) -> None:
    transformed, hidden, mask = random_batch(BUDGET + 3, 12)
    write(random_head(), tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    together = run(tmp_path / "int8.onnx", (transformed, hidden, mask), 20)
    for text in (0, 1, BUDGET + 2):
        own = mask[text] == 1
        rows = slice(text, text + 1)
        one = (transformed[rows, own], hidden[rows, own], mask[rows, own])
        alone = run(tmp_path / "int8.onnx", one, 20)
        for left, right in zip(alone, together, strict=True):
            np.testing.assert_allclose(left[0], right[text], rtol=1e-5, atol=1e-6)
