"""Splade on small random models: terms, inference-free queries, and what an index remembers."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from glane import CheckpointError, ColBERT, SparseVectors, Splade
from glane.model.checkpoint import QUERY_WEIGHTS
from glane.model.encoder import load_session, run
from glane.retrievers.splade import active_terms

FIXTURES = Path(__file__).parents[1] / "fixtures"

TEXTS = ["The river runs to the sea.", "", "snow", "日本語の森 🙂 \ud83d \x00", "sun " * 99]


def load(name: str = "splade") -> Splade:
    return Splade.load(FIXTURES / name)


def copy(folder: Path) -> Path:
    """Copy the inference-free model."""
    shutil.copytree(FIXTURES / "splade-inference-free", folder / "model")
    return folder / "model"


def test_rows_hold_the_active_terms_in_rising_order() -> None:
    splade = load()
    for encode, most in ((splade.encode_queries, 8), (splade.encode_documents, 16)):
        vectors = encode(TEXTS)
        assert len(vectors) == len(TEXTS)
        assert vectors.indices.dtype == np.int32
        assert vectors.values.dtype == np.float32
        assert (vectors.values > 0).all()
        assert 0 < np.diff(vectors.indptr).max() <= most
        for row in range(len(TEXTS)):
            assert (np.diff(vectors[row : row + 1].indices) > 0).all()


def test_a_query_keeps_the_heaviest_terms_of_a_document() -> None:
    splade = load()
    as_query = splade.decode(splade.encode_queries(["the river and the sea"]))[0]
    as_document = splade.decode(splade.encode_documents(["the river and the sea"]))[0]
    assert len(as_document) > 8
    assert list(as_query.items()) == list(as_document.items())[:8]


def test_decode_names_the_terms_heaviest_first() -> None:
    splade = load()
    vectors = SparseVectors(
        np.array([0, 2, 2, 3]), np.array([7, 9, 3], np.int32), np.array([0.5, 2, 1], np.float32)
    )
    names = [splade.encoder.preparer.token(term) for term in (9, 7, 3)]
    decoded = splade.decode(vectors)
    assert decoded == [{names[0]: 2.0, names[1]: 0.5}, {}, {names[2]: 1.0}]
    assert list(decoded[0]) == names[:2]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (3, 4)])
def test_active_terms_drop_what_weighs_nothing(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    terms = np.array([rng.permutation(9)[: shape[1]] for _ in range(shape[0])], np.int64)
    terms = terms.reshape(shape)
    weights = np.maximum(rng.normal(size=shape), 0).astype(np.float32)
    vectors, places = active_terms(terms, weights)
    np.testing.assert_array_equal(weights.ravel()[places], vectors.values)
    for row in range(shape[0]):
        pairs = {t: w for t, w in zip(terms[row], weights[row], strict=True) if w > 0}
        found = vectors[row : row + 1]
        assert found.indices.tolist() == sorted(pairs)
        assert dict(zip(found.indices, found.values, strict=True)) == pairs


def test_more_terms_than_the_vocabulary_are_all_of_it() -> None:
    splade = load()
    batch = splade.encoder.preparer.encode(["snow"], "document")
    terms, weights = run(load_session(FIXTURES / "splade" / "model.onnx", 1), batch, 10**6)
    assert terms.shape == weights.shape == (1, splade.encoder.preparer.vocabulary_size)
    assert sorted(terms[0]) == list(range(terms.shape[1]))


def test_pair_scores_equal_searching() -> None:
    splade = load()
    splade.add(splade.encode_documents(TEXTS))
    hits = splade.search(splade.encode_queries(["snow and sea"]), len(TEXTS))
    pairs = splade.scores(["snow and sea"] * len(TEXTS), TEXTS)
    ids, scores = hits.row(0)
    np.testing.assert_allclose(scores, pairs[ids], rtol=1e-5)
    assert splade.scores([], []).shape == (0,)
    with pytest.raises(ValueError, match="got 1 queries for 2 documents"):
        splade.scores(["snow"], ["a", "b"])


def test_a_query_of_an_inference_free_model_is_its_own_tokens() -> None:
    splade = load("splade-inference-free")
    table = np.load(FIXTURES / "splade-inference-free" / QUERY_WEIGHTS)
    preparer = splade.encoder.preparer
    queries = ["snow and snow", "[CLS] snow [SEP]", "", "[PAD] [MASK]"]
    vectors = splade.encode_queries(queries)
    decoded = splade.decode(vectors)
    assert [set(row) for row in decoded] == [{"snow", "and"}, {"snow"}, set(), set()]
    for term, weight in zip(vectors.indices, vectors.values, strict=True):
        assert weight == table[term] > 0
        assert preparer.token(int(term)) in {"snow", "and"}


def test_the_heaviest_tokens_of_a_long_query_are_kept() -> None:
    splade = load("splade-inference-free")
    table = np.load(FIXTURES / "splade-inference-free" / QUERY_WEIGHTS)
    words = {
        number: splade.encoder.preparer.token(number)
        for number in np.flatnonzero(table > 0).tolist()
    }
    tokens = np.array([number for number, word in words.items() if word.isalpha()][:10])
    order = tokens[np.lexsort((tokens, -table[tokens]))]
    found = splade.encode_queries([" ".join(words[number] for number in tokens)])
    assert found.indices.tolist() == sorted(order[:8])


def test_an_inference_free_query_calls_no_model(tmp_path: Path) -> None:
    model = copy(tmp_path)
    wanted = load("splade-inference-free").encode_queries(TEXTS)
    splade = Splade.load(model)
    (model / "model.onnx").write_bytes(b"no graph")
    found = splade.encode_queries(TEXTS)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.values, wanted.values)
    assert splade.encoder.n_truncated == {"query": 1}
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        splade.encode_documents(TEXTS)


def test_a_missing_or_damaged_table_is_refused_by_its_path(tmp_path: Path) -> None:
    model = copy(tmp_path)
    table = np.load(model / QUERY_WEIGHTS)
    for wrong, message in [
        (table[:-1], "must hold one float32 for each of the"),
        (table.astype(np.float64), "got float64 of shape"),
        (table[:, None], "must hold one float32"),
        (-table, "weight below 0"),
        (np.full_like(table, np.nan), "none that is a number"),
    ]:
        np.save(model / QUERY_WEIGHTS, wrong)
        with pytest.raises(CheckpointError, match=rf"query_weights\.npy' .*{message}"):
            Splade.load(model)
    (model / QUERY_WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"query_weights\.npy' cannot be read"):
        Splade.load(model)


def test_another_table_is_another_model(tmp_path: Path) -> None:
    model = copy(tmp_path)
    splade = Splade.load(model)
    splade.add(splade.encode_documents(TEXTS))
    splade.save(tmp_path / "index")
    np.save(model / QUERY_WEIGHTS, np.load(model / QUERY_WEIGHTS) * np.float32(2))
    with pytest.raises(CheckpointError, match=f"written by the model {splade.encoder.fingerprint}"):
        Splade.load(model, tmp_path / "index")


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="holds a splade model, expected colbert"):
        ColBERT.load(FIXTURES / "splade")
    with pytest.raises(CheckpointError, match="holds a colbert model, expected splade"):
        Splade.load(FIXTURES / "colbert")


@pytest.mark.parametrize("name", ["manifest.json", "retriever-*.safetensors"])
def test_a_damaged_index_is_refused(name: str, tmp_path: Path) -> None:
    splade = load()
    splade.add(splade.encode_documents(TEXTS))
    splade.save(tmp_path)
    path = next(tmp_path.rglob(name))
    path.write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"{path.name}' is damaged"):
        Splade.load(FIXTURES / "splade", tmp_path)
