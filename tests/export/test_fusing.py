"""The fused graph: the same numbers bit for bit, with operators that an older onnxruntime has."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from glane.model.encoder import Encoder
from glane.model.origins import origins
from glane.model.saturation import saturates
from glane.model.session import load_session
from glane_export.constants import all_nodes
from glane_export.fusing import FUSED, fuse
from glane_export.quantize import quantize

FIXTURES = Path(__file__).parents[1] / "fixtures"

Arrays = list[npt.NDArray[Any]]


def outputs(path: Path, n_texts: int, length: int) -> Arrays:
    session = load_session(path, 1)
    random = np.random.default_rng(0)
    feed = {
        "input_ids": random.integers(1, 60, (n_texts, length)),
        "attention_mask": np.tri(n_texts, length, length // 2 + 1, dtype=np.int64),
        "n_terms": np.array([5]),
    }
    wanted = {entry.name for entry in session.get_inputs()}
    found = session.run(None, {name: feed[name] for name in wanted})
    return [np.asarray(output) for output in found]


def operators(path: Path) -> list[tuple[str, str]]:
    return [(node.domain, node.op_type) for node in all_nodes(onnx.load(str(path)).graph)]


@pytest.mark.parametrize("kind", ["colbert", "splade", "sparse-embed"])
def test_a_fused_graph_gives_the_same_bit_for_bit(kind: str, tmp_path: Path) -> None:
    plain, fused = tmp_path / "plain.onnx", tmp_path / "fused.onnx"
    quantize(FIXTURES / kind / "model.onnx", plain)
    shutil.copy(plain, fused)
    assert fuse(fused)
    for n_texts, length in ((1, 1), (1, 32), (3, 9)):
        for left, right in zip(
            outputs(plain, n_texts, length), outputs(fused, n_texts, length), strict=True
        ):
            np.testing.assert_array_equal(left, right)
    before, after = operators(plain), operators(fused)
    assert len(after) < len(before)
    assert {name for domain, name in set(after) - set(before) if domain} <= FUSED
    model = onnx.load(str(fused))
    assert {entry.domain for entry in model.opset_import} == {domain for domain, _ in after}
    assert [entry.name for entry in model.graph.output] == [
        entry.name for entry in onnx.load(str(plain)).graph.output
    ]


def test_a_graph_is_fused_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    written = []
    for name in ("one.onnx", "two.onnx"):
        quantize(FIXTURES / "colbert" / "model.onnx", tmp_path / name)
        assert fuse(tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_a_graph_stays_where_an_older_onnxruntime_may_lack_what_would_come_in(
    tmp_path: Path,
) -> None:
    """RMS normalization becomes an operator that ONNX does not have at this version."""
    nodes = [
        helper.make_node("Pow", ["x", "two"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["mean"], axes=[-1], keepdims=1),
        helper.make_node("Add", ["mean", "tiny"], ["above"]),
        helper.make_node("Sqrt", ["above"], ["root"]),
        helper.make_node("Div", ["x", "root"], ["normal"]),
        helper.make_node("Mul", ["normal", "scale"], ["y"]),
    ]
    values = {"two": np.float32(2), "tiny": np.float32(1e-6), "scale": np.ones(8, np.float32)}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    ids = [helper.make_opsetid("", 17)]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=ids, ir_version=8), str(path))
    before = path.read_bytes()
    assert not fuse(path)
    assert path.read_bytes() == before


def test_a_graph_with_its_weights_beside_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load(str(FIXTURES / "colbert" / "model.onnx"))
    onnx.save_model(model, str(path), save_as_external_data=True, location="model.onnx.data")
    before = path.read_bytes()
    assert not fuse(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("unsigned", [False, True])
def test_where_a_term_comes_from_is_told_of_int8_too(unsigned: bool, tmp_path: Path) -> None:
    """The names that it is found by are left, whatever is fused."""
    if saturates() and not unsigned:
        pytest.skip("this CPU adds products of uint8 and int8 in 16 bits")
    text, terms = "the sea is green", np.arange(20)
    expected = origins(Encoder(FIXTURES / "splade", "splade", threads=1), text, "document", terms)
    folder = Path(shutil.copytree(FIXTURES / "splade", tmp_path / "model"))
    (folder / "parity.json").unlink()
    quantize(FIXTURES / "splade" / "model.onnx", folder / "model.onnx", unsigned=unsigned)
    assert fuse(folder / "model.onnx")
    told = origins(Encoder(folder, "splade", threads=1), text, "document", terms)
    assert expected is not None
    assert told is not None
    assert np.mean(told == expected) > 0.8  # int8 may let another token win
