"""ColBERT on small random models: vectors, scores, reranking, and what an index remembers."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.definitions import defined

from glane.errors import CheckpointError
from glane.hits import Hits
from glane.maxsim import index as maxsim_index
from glane.maxsim.index import TokenStorage
from glane.maxsim.integers import query_codes
from glane.maxsim.quantization import KINDS, CodeKind, decoded, encode
from glane.retrievers.colbert import ColBERT
from glane.vectors import TokenVectors

FIXTURES = Path(__file__).parents[1] / "fixtures"

MODELS = pytest.mark.parametrize("name", ["colbert", "colbert-int8"])

DOCUMENTS = [
    "The river runs to the sea.",
    "",
    "Snow is white, and the wolf is old.",
    "...",
    "Plants grow in the light of the sun. " * 20,
    "snow",
    "日本語の森 🙂 \ud83d \x00",
    "snow",
]

QUERIES = ["why is snow white?", "", "plants and light", "why is snow white?"]


def load(name: str = "colbert", threads: int | None = None) -> ColBERT:
    return ColBERT.load(FIXTURES / name, threads=threads)


def filled(name: str = "colbert") -> ColBERT:
    colbert = load(name)
    assert colbert.add(colbert.encode_documents(DOCUMENTS)).tolist() == list(range(len(DOCUMENTS)))
    return colbert


def assert_same(one: Hits, other: Hits) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.scores, other.scores)


@MODELS
def test_vectors_have_length_1_and_count_what_scores(name: str) -> None:
    colbert = load(name)
    queries, documents = colbert.encode_queries(QUERIES), colbert.encode_documents(DOCUMENTS)
    for vectors in (queries, documents):
        assert vectors.values.dtype == np.float32
        assert vectors.dim == colbert.encoder.checkpoint.dim
        np.testing.assert_allclose(np.linalg.norm(vectors.values, axis=1), 1, atol=1e-3)
    assert np.diff(queries.offsets).tolist() == [colbert.encoder.checkpoint.query_length] * 4
    masks = colbert.encoder.preparer.encode(DOCUMENTS, "document").score_mask
    assert np.diff(documents.offsets).tolist() == masks.sum(1).tolist()


@MODELS
def test_empty_inputs_give_empty_vectors(name: str) -> None:
    colbert = load(name)
    for vectors in (colbert.encode_queries([]), colbert.encode_documents([])):
        assert len(vectors) == 0
        assert vectors.values.shape == (0, colbert.encoder.checkpoint.dim)
    assert colbert.add(colbert.encode_documents([])).tolist() == []
    assert colbert.search(colbert.encode_queries(QUERIES), 2).to_lists() == [[]] * 4
    assert colbert.search(colbert.encode_queries([]), 2).ids.shape == (0, 2)
    assert colbert.scores([], []).shape == (0,)


@MODELS
def test_the_same_query_twice_gives_the_same_bits(name: str) -> None:
    colbert = load(name)
    first = colbert.encode_queries(["why is snow white?"]).values
    np.testing.assert_array_equal(colbert.encode_queries(["why is snow white?"]).values, first)
    np.testing.assert_array_equal(load(name).encode_queries(["why is snow white?"]).values, first)


@MODELS
def test_another_process_gives_the_same_bits(name: str) -> None:
    program = (
        "import sys; from glane import ColBERT; colbert = ColBERT.load(sys.argv[1]);"
        "sys.stdout.write(colbert.encode_queries([sys.argv[2]]).values.tobytes().hex())"
    )
    argv = [sys.executable, "-c", program, str(FIXTURES / name), QUERIES[0]]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert printed == load(name).encode_queries(QUERIES[:1]).values.tobytes().hex()


@MODELS
def test_pairs_are_scored_by_their_vectors_and_reranked_by_what_is_stored(name: str) -> None:
    colbert = filled(name)
    asked, documents = colbert.encode_queries(QUERIES), colbert.encode_documents(DOCUMENTS)
    queries = [query for query in QUERIES for _ in DOCUMENTS]
    pairs = colbert.scores(queries, DOCUMENTS * len(QUERIES)).reshape(len(QUERIES), -1)
    np.testing.assert_allclose(pairs, defined(asked, documents), atol=1e-4)
    assert (np.abs(pairs) <= 12.001).all()

    everything = np.tile(np.arange(len(DOCUMENTS)), (len(QUERIES), 1))
    candidates = Hits(everything, np.zeros(everything.shape, np.float32))
    hits = colbert.rerank(asked, candidates, len(DOCUMENTS))
    codes, steps = query_codes(asked.values)
    coded = TokenVectors(asked.offsets, codes * steps[:, None])
    scores = defined(coded, decoded(encode(documents, "int8")))
    np.testing.assert_allclose(hits.scores, np.take_along_axis(scores, hits.ids, 1), atol=1e-4)


@MODELS
def test_searching_equals_reranking_everything(name: str) -> None:
    colbert = filled(name)
    queries = colbert.encode_queries(QUERIES)
    everything = np.tile(np.arange(len(DOCUMENTS))[::-1], (len(QUERIES), 1))
    candidates = Hits(everything, np.zeros(everything.shape, np.float32))
    reranked, found = colbert.rerank(queries, candidates, 5), colbert.search(queries, 5)
    np.testing.assert_array_equal(reranked.ids, found.ids)
    np.testing.assert_allclose(reranked.scores, found.scores, atol=1e-5)


@MODELS
def test_duplicate_queries_keep_their_rows(name: str) -> None:
    colbert = filled(name)
    queries = colbert.encode_queries(QUERIES)
    rows = Hits(np.array([[0, 2], [4, -1], [3, 1], [7, 5]]), np.zeros((4, 2), np.float32))
    hits = colbert.rerank(queries, rows, 2)
    assert [set(row) for row in hits.ids.tolist()] == [{0, 2}, {4, -1}, {1, 3}, {5, 7}]
    for row in range(4):
        candidates = Hits(rows.ids[row : row + 1], rows.scores[row : row + 1])
        alone = colbert.rerank(queries[row : row + 1], candidates, 2)
        np.testing.assert_array_equal(alone.ids[0], hits.ids[row])
        np.testing.assert_array_equal(alone.scores[0], hits.scores[row])
    found = colbert.search(queries, 8)
    np.testing.assert_array_equal(found.ids[0], found.ids[3])


@MODELS
def test_equal_documents_come_in_order_of_their_numbers(name: str) -> None:
    hits = filled(name).search(load(name).encode_queries(["snow"]), len(DOCUMENTS))
    ids, scores = hits.row(0)
    low, high = (ids.tolist().index(number) for number in (5, 7))
    assert scores[low] == scores[high]
    assert high == low + 1


@pytest.mark.parametrize("kind", KINDS)
def test_stored_vectors_can_be_kept_and_given_again(kind: CodeKind, tmp_path: Path) -> None:
    kept, given = load(), load()
    for each in (kept, given):
        each.store_as(TokenStorage(kind=kind))
    vectors = given.encode_documents(DOCUMENTS)
    vectors.half().save(tmp_path)
    kept.add(TokenVectors.load(tmp_path))
    # codes are made of what is given: of halves not quite the same as of whole numbers
    given.add(vectors if kind == "float16" else vectors.half())
    queries = given.encode_queries(QUERIES)
    assert_same(kept.search(queries, 8), given.search(queries, 8))


@MODELS
def test_saved_and_loaded_it_answers_the_same(name: str, tmp_path: Path) -> None:
    colbert = filled(name)
    colbert.delete(np.array([2]))
    colbert.save(tmp_path / "index")
    loaded = ColBERT.load(FIXTURES / name, tmp_path / "index")
    assert len(loaded) == len(colbert) == 7
    queries = loaded.encode_queries(QUERIES)
    assert_same(loaded.search(queries, 9), colbert.search(queries, 9))
    assert loaded.add(loaded.encode_documents(["new"])).tolist() == [8]
    loaded.save(tmp_path / "index")
    assert len(ColBERT.load(str(FIXTURES / name), str(tmp_path / "index"))) == 8


def test_vectors_of_another_model_are_refused_with_both_fingerprints(tmp_path: Path) -> None:
    fp32, int8 = filled("colbert"), filled("colbert-int8")
    fp32.save(tmp_path / "index")
    with pytest.raises(CheckpointError, match=fp32.encoder.fingerprint) as refusal:
        ColBERT.load(FIXTURES / "colbert-int8", tmp_path / "index")
    assert int8.encoder.fingerprint in str(refusal.value)
    assert "index again" in str(refusal.value)


def test_threads_are_those_of_the_encoder() -> None:
    colbert = ColBERT.load(FIXTURES / "colbert", threads=1)
    assert colbert.index.threads == 1
    colbert.store_as(TokenStorage(kind="int8"))
    assert colbert.index.threads == 1
    with pytest.raises(ValueError, match="vectors must have width"):
        colbert.search(TokenVectors(np.array([0, 1]), np.ones((1, 3), np.float32)), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_stores_and_answers_as_before(
    kind: CodeKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maxsim_index, "EXACT_UP_TO", 2)
    colbert, storage = load(), TokenStorage(kind=kind, pool=2, outlines=True)
    colbert.store_as(storage)
    colbert.add(colbert.encode_documents(DOCUMENTS))
    colbert.save(tmp_path / "index")
    loaded = ColBERT.load(FIXTURES / "colbert", tmp_path / "index")
    assert loaded.index.storage == storage
    queries = colbert.encode_queries(QUERIES)
    assert_same(loaded.search(queries, 3), colbert.search(queries, 3))
    assert loaded.add(loaded.encode_documents(["sea"])).tolist() == [len(DOCUMENTS)]
    with pytest.raises(ValueError, match="documents were stored already; index them again"):
        loaded.store_as(TokenStorage())


def test_a_folder_without_vectors_is_refused(tmp_path: Path) -> None:
    filled().save(tmp_path / "index")
    next((tmp_path / "index").rglob("retriever-*.safetensors")).unlink()
    for name, folder in [("gone", tmp_path / "gone"), ("safetensors", tmp_path / "index")]:
        with pytest.raises(CheckpointError, match=name):
            ColBERT.load(FIXTURES / "colbert", folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no model\.json"):
        ColBERT.load(tmp_path)
    model = tmp_path / "model"
    shutil.copytree(FIXTURES / "colbert", model)
    (model / "model.onnx").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        ColBERT.load(model).encode_queries(["snow"])


def test_a_candidate_that_is_not_stored_is_refused() -> None:
    colbert = filled()
    candidates = Hits(np.array([[3, 8]]), np.zeros((1, 2), np.float32))
    with pytest.raises(ValueError, match="unknown document 8"):
        colbert.rerank(colbert.encode_queries(["snow"]), candidates, 2)


def test_wrong_texts_are_refused() -> None:
    colbert = load()
    with pytest.raises(TypeError, match=r"queries must be .* pass \['snow'\]"):
        colbert.encode_queries("snow")
    with pytest.raises(TypeError, match=r"documents must be .* pass \['snow'\]"):
        colbert.encode_documents("snow")
    with pytest.raises(TypeError, match="documents must be strings, got int at position 1"):
        colbert.encode_documents(["snow", 3])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"queries must be .* pass \['snow'\]"):
        colbert.scores("snow", ["a", "b"])
    with pytest.raises(ValueError, match="got 1 queries for 2 documents"):
        colbert.scores(["snow"], ["a", "b"])


def test_truncated_documents_are_counted() -> None:
    colbert = filled()
    assert colbert.encoder.n_truncated == {"document": 1}


def test_eight_threads_search_at_once() -> None:
    colbert = filled()
    expected = colbert.search(colbert.encode_queries(QUERIES), 5)
    answers: list[Hits] = []

    def ask() -> None:
        for _ in range(5):
            answers.append(colbert.search(colbert.encode_queries(QUERIES), 5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    for answer in answers:
        np.testing.assert_array_equal(answer.ids, expected.ids)
        np.testing.assert_allclose(answer.scores, expected.scores, atol=1e-5)
