"""Running a model over texts: order, batches, threads and what is refused."""

import json
import os
import pickle
import shutil
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane.errors import CheckpointError
from glane.model.checkpoint import fingerprint
from glane.model.encoder import WINDOW, Encoder, load_session
from glane.model.graph_file import GraphFile
from glane.model.preparation import Batch, Role
from glane.types import Floats

FIXTURES = Path(__file__).parents[1] / "fixtures"

MODELS = pytest.mark.parametrize("name", ["colbert", "colbert-int8"])

TEXTS = [
    "",
    "the sun and the sea " * 40,
    "snow",
    "Why is the winter cold?",
    "snow",
    "...",
    "日本語の森 🙂 \ud83d \x00",
    "wolf " * 20,
    "a b c d e",
]


def rows(batch: Batch, outputs: list[Any]) -> list[Floats]:
    return [row[mask] for row, mask in zip(outputs[0], batch.score_mask, strict=True)]


def encode(encoder: Encoder, texts: list[str], role: Role = "document") -> list[Floats]:
    return list(encoder.map(texts, role, rows))


def assert_equal(one: list[Floats], other: list[Floats], tolerance: float) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance)


def copy(name: str, folder: Path, **info: object) -> Path:
    """Copy a model, with some keys of its `model.json` changed."""
    shutil.copytree(FIXTURES / name, folder)
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(record | info))
    return folder


@MODELS
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("role", ["query", "document"])
def test_a_batch_equals_one_by_one_in_the_order_given(name: str, threads: int, role: Role) -> None:
    encoder = Encoder(FIXTURES / name, "colbert", threads)
    texts = TEXTS * 5
    alone = [encode(encoder, [text], role)[0] for text in texts]
    assert_equal(encode(encoder, texts, role), alone, 0 if encoder.info.batch_dependent else 1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_that_depends_on_its_batch_gets_one_text_at_a_time(
    threads: int, tmp_path: Path
) -> None:
    sizes = []

    def convert(batch: Batch, outputs: list[Any]) -> list[Floats]:
        sizes.append(len(batch.input_ids))
        return rows(batch, outputs)

    model = copy("colbert-int8", tmp_path / "model", batch_dependent=True)
    encoder = Encoder(model, "colbert", threads)
    together = list(encoder.map(TEXTS * 3, "document", convert))
    assert sizes == [1] * len(TEXTS) * 3
    assert_equal(together, [encode(encoder, [text])[0] for text in TEXTS * 3], 0)


def test_batches_hold_texts_of_similar_length(tmp_path: Path) -> None:
    batches = []

    def convert(batch: Batch, outputs: list[Any]) -> list[Floats]:
        batches.append(batch)
        return rows(batch, outputs)

    model = copy("colbert", tmp_path / "model", batch_dependent=False)
    encoder = Encoder(model, "colbert", threads=1)
    texts = ["snow", "snow " * 19] * 40
    assert len(list(encoder.map(texts, "document", convert))) == 80
    tokens = sum(batch.input_ids.size for batch in batches)
    assert tokens <= 1.1 * sum(int(batch.attention_mask.sum()) for batch in batches)
    assert max(batch.input_ids.size for batch in batches) <= 256
    assert len(batches) < 20


@MODELS
def test_thread_counts_agree(name: str) -> None:
    for role in ("query", "document"):
        one, two = (Encoder(FIXTURES / name, "colbert", threads) for threads in (1, 2))
        assert_equal(encode(one, TEXTS * 5, role), encode(two, TEXTS * 5, role), 1e-5)


def test_more_texts_than_one_window_keep_their_order() -> None:
    encoder = Encoder(FIXTURES / "colbert", "colbert")
    texts = [TEXTS[number % len(TEXTS)] for number in range(WINDOW + 5)]
    alone = {text: encode(encoder, [text])[0] for text in TEXTS}
    assert_equal(encode(encoder, texts), [alone[text] for text in texts], 1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_than_two_windows_are_in_memory_beside_what_was_taken(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glane.model.encoder.WINDOW_TOKENS", 200)
    made = []

    def convert(batch: Batch, outputs: list[Any]) -> list[Floats]:
        made.extend(batch.attention_mask.sum(1))
        return rows(batch, outputs)

    encoder = Encoder(FIXTURES / "colbert", "colbert", threads)
    texts = ["snow", "wolf " * 20, "", "the sun and the sea"] * 100
    taken = 0
    lengths = [len(row) for row in encoder.tokenize(texts, "document")]
    for length, _ in zip(lengths, encoder.map(texts, "document", convert), strict=True):
        assert sum(made) - taken <= 2 * (200 + 24)
        taken += length
    assert sum(made) == taken


def test_what_is_not_taken_is_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glane.model.encoder.WINDOW_TOKENS", 50)
    encoder = Encoder(FIXTURES / "colbert", "colbert", 2)
    found = encoder.map(["snow " * 30] * 500, "document", rows)
    next(found)
    assert isinstance(found, Generator)
    found.close()
    assert encoder.n_truncated["document"] < 100


@MODELS
def test_no_texts_give_no_rows(name: str) -> None:
    encoder = Encoder(FIXTURES / name, "colbert")
    assert encode(encoder, []) == []
    assert encode(encoder, [], "query") == []


def test_texts_without_any_token_are_encoded(tmp_path: Path, unmarked: str) -> None:
    model = copy("colbert", tmp_path / "model")
    checkpoint = json.loads((model / "glane.json").read_text())
    plain = {"query_expansion": False, "query_prefix": "", "document_prefix": ""}
    (model / "glane.json").write_text(json.dumps(checkpoint | plain))
    (model / "tokenizer.json").write_text(unmarked)
    (model / "parity.json").unlink()  # it proves another model
    found = encode(Encoder(model, "colbert"), ["", "tea", "", "tea a"])
    assert [len(row) for row in found] == [0, 1, 0, 2]
    assert [len(row) for row in encode(Encoder(model, "colbert"), ["", ""])] == [0, 0]


def test_truncated_texts_are_counted_by_role() -> None:
    encoder = Encoder(FIXTURES / "colbert", "colbert")
    assert encoder.n_truncated == {}
    encode(encoder, ["snow", "snow " * 99, "snow " * 20, "snow " * 99])
    encode(encoder, ["snow " * 20], "query")
    assert encoder.n_truncated == {"document": 2, "query": 1}


def test_an_error_of_one_batch_ends_the_whole(tmp_path: Path) -> None:
    calls = []

    def convert(batch: Batch, outputs: list[Any]) -> list[Floats]:
        calls.append(len(batch.input_ids))
        raise ArithmeticError("no more")

    model = copy("colbert", tmp_path / "model", batch_dependent=True)
    encoder = Encoder(model, "colbert", threads=2)
    with pytest.raises(ArithmeticError, match="no more"):
        list(encoder.map(["snow " * 20] * WINDOW, "document", convert))
    assert len(calls) < WINDOW


def test_many_threads_get_the_same_vectors() -> None:
    encoder = Encoder(FIXTURES / "colbert", "colbert", threads=2)
    expected = encode(Encoder(FIXTURES / "colbert", "colbert", threads=2), TEXTS)
    answers: list[list[Floats]] = []

    def ask() -> None:
        for _ in range(5):
            answers.append(encode(encoder, TEXTS))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    for answer in answers:
        assert_equal(answer, expected, 1e-5)
    assert encoder.n_truncated["document"] == 40


def test_the_fingerprint_is_that_of_the_folder() -> None:
    one, other = (Encoder(FIXTURES / name, "colbert") for name in ("colbert", "colbert-int8"))
    assert one.fingerprint == Encoder(FIXTURES / "colbert", "colbert").fingerprint
    assert one.fingerprint != other.fingerprint


def test_a_folder_that_is_removed_does_not_change_an_open_model(tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    encoder = Encoder(model, "colbert", threads=2)
    shutil.rmtree(model)
    copy("colbert-int8", tmp_path / "model")
    expected = encode(Encoder(FIXTURES / "colbert", "colbert", threads=2), TEXTS)
    assert_equal(encode(encoder, TEXTS[:1]), expected[:1], 1e-5)
    assert_equal(encode(encoder, TEXTS), expected, 1e-5)


def test_a_graph_that_was_written_to_is_refused(tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    encoder = Encoder(model, "colbert")
    assert encoder.fingerprint == Encoder(FIXTURES / "colbert", "colbert").fingerprint
    (model / "model.onnx").write_bytes((FIXTURES / "colbert-int8" / "model.onnx").read_bytes())
    with pytest.raises(CheckpointError, match=r"model\.onnx' was written to since it was opened"):
        encode(encoder, ["snow"])


def read_all(encoder: Encoder) -> dict[str, bytes]:
    return {name: b"".join(blocks()) for name, blocks in encoder.contents().items()}


def test_the_contents_are_the_files_that_were_read_whatever_became_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy("colbert", tmp_path / "model")
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    monkeypatch.chdir(tmp_path)
    encoder = Encoder("model", "colbert")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert encoder.folder == model
    shutil.rmtree(model)
    copy("colbert-int8", model)
    assert read_all(encoder) == files
    assert encoder.fingerprint == Encoder(FIXTURES / "colbert", "colbert").fingerprint
    assert read_all(encoder) == files


def test_the_table_of_an_inference_free_model_is_among_its_contents() -> None:
    model = FIXTURES / "splade-inference-free"
    encoder = Encoder(model, "splade")
    assert read_all(encoder) == {path.name: path.read_bytes() for path in model.iterdir()}
    assert encoder.fingerprint == fingerprint(model)


def test_contents_come_in_blocks_of_a_megabyte(tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    (model / "model.onnx").write_bytes(bytes(range(256)) * 10_000)
    blocks = list(Encoder(model, "colbert").contents()["model.onnx"]())
    assert [len(block) for block in blocks] == [1 << 20, 1 << 20, 2_560_000 - (2 << 20)]
    assert b"".join(blocks) == (model / "model.onnx").read_bytes()


@pytest.mark.parametrize("size", [0, -1, 1])
def test_a_graph_that_was_written_to_does_not_pass_as_the_one_that_was_read(
    size: int, tmp_path: Path
) -> None:
    model = copy("colbert", tmp_path / "model")
    encoder = Encoder(model, "colbert")
    content = (model / "model.onnx").read_bytes()
    assert encoder.fingerprint
    changed = content[: len(content) + size] if size < 1 else content + b"!"
    status = (model / "model.onnx").stat()
    with (model / "model.onnx").open("r+b") as file:  # in place, and with the times of before
        file.write(changed[:-9] + bytes(9))
        file.truncate()
    os.utime(model / "model.onnx", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CheckpointError, match=r"model\.onnx' was written to since it was opened"):
        read_all(encoder)
    with pytest.raises(CheckpointError, match=r"model\.onnx' was written to since it was opened"):
        encode(encoder, ["snow"])


def test_a_graph_is_hashed_once_and_read_again_only_where_its_times_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy("colbert", tmp_path / "model")
    monkeypatch.setattr("glane.model.graph_file.SETTLED_NS", -(10**18))
    encoder = Encoder(model, "colbert")
    hashed = []
    whole = GraphFile._hashed

    def counted(graph: GraphFile) -> Any:  # noqa: ANN401 (a hash has no public type)
        hashed.append(graph)
        return whole(graph)

    monkeypatch.setattr(GraphFile, "_hashed", counted)
    assert encoder.fingerprint == encoder.fingerprint
    encode(encoder, TEXTS)
    assert len(hashed) == 1
    shutil.rmtree(model)
    encoder.files.graph.check()
    assert len(hashed) == 2, "its times changed: it lost its name"


@pytest.mark.parametrize("name", ["model.json", "glane.json", "tokenizer.json", "model.onnx"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    (model / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {name}"):
        Encoder(model, "colbert")


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    checkpoint = json.loads((model / "glane.json").read_text())
    (model / "glane.json").write_text(json.dumps(checkpoint | {"kind": "splade"}))
    with pytest.raises(CheckpointError, match="splade"):
        Encoder(model, "colbert")


def test_threads_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Encoder(FIXTURES / "colbert", "colbert", threads=0)


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "garbage": b"garbage" * 99,
    "zeros": bytes(1000),
    "cut": (FIXTURES / "colbert" / "model.onnx").read_bytes()[:-1],
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_graph_is_refused_by_its_path(content: bytes, tmp_path: Path) -> None:
    model = copy("colbert", tmp_path / "model")
    (model / "model.onnx").write_bytes(content)
    encoder = Encoder(model, "colbert")
    with pytest.raises(CheckpointError, match=r"model\.onnx' cannot be run by onnxruntime: "):
        encode(encoder, ["snow"])


def test_a_missing_graph_is_refused_by_its_path(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "model.onnx"):
        with pytest.raises(CheckpointError, match=f"'{path}' cannot be run by onnxruntime: "):
            load_session(path, 1)


def test_a_graph_that_is_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    model = copy("colbert", tmp_path / "model")
    (model / "model.onnx").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        encode(Encoder(model, "colbert"), ["snow"])
    assert not (tmp_path / "sprung").exists()
