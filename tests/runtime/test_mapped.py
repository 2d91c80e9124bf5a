"""Weights mapped from the graph's own file: the same vectors, and when it is not done."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane import CheckpointError
from glane.model import encoder as encoding
from glane.model import mapped
from glane.model.devices import Device
from glane.model.encoder import Encoder
from glane.model.mapped import fields, without_weights
from glane.model.model_files import ModelFiles
from glane.model.preparation import Batch
from glane.types import Floats

FIXTURES = Path(__file__).parents[1] / "fixtures"
TEXTS = ["snow on the hill", "", "a long text of many words " * 4]
WHOLE = (FIXTURES / "colbert-int8" / "model.onnx").read_bytes()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the smallest weights be mapped: those of the fixtures are few."""
    monkeypatch.setattr(mapped, "LEAST", 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "colbert-int8", tmp_path / "model"))


def encode(encoder: Encoder) -> Floats:
    def values(batch: Batch, outputs: list[Floats]) -> list[Floats]:
        return [row[mask > 0] for row, mask in zip(outputs[0], batch.attention_mask, strict=True)]

    return np.concatenate(list(encoder.map(TEXTS, "document", values)))


def test_mapped_weights_give_the_same_vectors_bit_for_bit(
    small: None, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encode(Encoder(model, "colbert", threads=1))
    monkeypatch.setattr(encoding, "maps_weights", lambda: False)
    np.testing.assert_array_equal(made, encode(Encoder(model, "colbert", threads=1)))


def test_what_is_left_out_lies_where_it_is_said_to(small: None) -> None:
    left = without_weights(memoryview(WHOLE), "some name")
    assert 0 < len(left) < len(WHOLE)
    assert left.count(b"some name") == left.count(b"location") == left.count(b"offset") > 2


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")
def test_weights_are_mapped_and_not_copied(small: None, model: Path) -> None:
    encoder = Encoder(model, "colbert", threads=1)
    encode(encoder)
    assert str(model / "model.onnx") in Path("/proc/self/maps").read_text()


def test_a_model_behind_a_link_is_mapped_where_it_is(
    small: None, model: Path, tmp_path: Path
) -> None:
    expected = encode(Encoder(model, "colbert", threads=1))
    (tmp_path / "blobs").mkdir()
    (model / "model.onnx").rename(tmp_path / "blobs" / "1234")
    (model / "model.onnx").symlink_to("../blobs/1234")
    np.testing.assert_array_equal(encode(Encoder(model, "colbert", threads=1)), expected)


def test_a_folder_that_is_gone_or_replaced_is_not_mapped(small: None, model: Path) -> None:
    encoder, files = Encoder(model, "colbert", threads=1), ModelFiles(model)
    assert isinstance(files.source(mapped=True), bytes)
    expected = encode(Encoder(model, "colbert", threads=1))
    shutil.rmtree(model)
    assert files.graph.mapped() == b""
    shutil.copytree(FIXTURES / "colbert", model)
    assert files.graph.mapped() == b""
    np.testing.assert_array_equal(encode(encoder), expected)


def test_a_folder_that_is_replaced_while_it_is_mapped_is_refused(small: None, model: Path) -> None:
    files = ModelFiles(model)
    files.source(mapped=True)
    files.check()
    shutil.rmtree(model)
    with pytest.raises(CheckpointError, match="was replaced since it was opened"):
        files.check()


@pytest.mark.parametrize("another", [None, "colbert"])
def test_a_model_that_is_replaced_while_it_is_loaded_is_the_one_that_was_opened(
    another: str | None, small: None, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = encode(Encoder(model, "colbert", threads=1))
    encoder, load = Encoder(model, "colbert", threads=1), encoding.load_session
    sources: list[str | bytes | None] = []

    def late(path: Path, threads: int, source: str | bytes | None, device: Device) -> object:
        if not sources:
            shutil.rmtree(model)
            if another is not None:
                shutil.copytree(FIXTURES / another, model)
        sources.append(source)
        return load(path, threads, source, device)

    monkeypatch.setattr(encoding, "load_session", late)
    np.testing.assert_array_equal(encode(encoder), expected)
    assert len(sources) == 2


@pytest.mark.parametrize("name", ["colbert", "splade", "colbert-int8"])
def test_floats_and_small_weights_stay_in_the_graph(name: str) -> None:
    assert ModelFiles(FIXTURES / name).graph.mapped() == b""


@pytest.mark.parametrize("content", [b"", b"\x00\x01", WHOLE[:-1], bytes(1 << 17)])
def test_what_is_no_graph_is_left_to_onnxruntime(content: bytes, model: Path) -> None:
    (model / "model.onnx").write_bytes(content)
    (model / "parity.json").unlink()
    files = ModelFiles(model)
    assert files.graph.mapped() == b""
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        encode(Encoder(model, "colbert", threads=1))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_value_error(content: bytes) -> None:
    try:
        found = list(fields(memoryview(content), 0, len(content)))
    except ValueError:
        return
    places = [(field.first, field.end) for field in found]
    assert [first for first, _ in places] == [0, *(end for _, end in places)][: len(places)]
    assert sum(end - first for first, end in places) == len(content)


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_as_it_is_written(number: int) -> None:
    written = mapped._as_varint(number)
    assert mapped._varint(memoryview(written), 0, len(written)) == (number, len(written))
    with pytest.raises(ValueError, match="does not end"):
        mapped._varint(memoryview(written), 0, len(written) - 1)
