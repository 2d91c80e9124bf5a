"""SparseEmbed: the kernel against the definition, the index, and a small random model."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane import BM25, CheckpointError, Hits, SparseEmbed, SparseVectors, Splade, TermEmbeddings
from glane.hits import rerank
from glane.model.scoring import sparse_embed_score
from glane.postings.term_embeddings import CANDIDATES, TermEmbeddingIndex, sparse_embed_scores
from glane.ragged import join_lengths
from glane.types import Ids, Scores

FIXTURES = Path(__file__).parents[1] / "fixtures"

TEXTS = ["The river runs to the sea.", "", "snow", "日本語の森 🙂 \ud83d \x00", "sun " * 99, "snow"]

ROWS = st.lists(st.sets(st.integers(0, 12), max_size=6), max_size=6)


def random_rows(rows: list[set[int]], dim: int, seed: int = 0) -> TermEmbeddings:
    rng = np.random.default_rng(seed)
    terms = np.array([term for row in rows for term in sorted(row)], np.int32)
    weights = rng.uniform(0.1, 2, len(terms)).astype(np.float32)
    vectors = SparseVectors(join_lengths([len(row) for row in rows]), terms, weights)
    return TermEmbeddings(vectors, rng.normal(size=(len(terms), dim)).astype(np.float32))


def defined(query: TermEmbeddings, documents: TermEmbeddings, rows: Ids) -> Scores:
    scores = []
    for row in rows:
        one = documents[row : row + 1]
        pair = query.terms.indices, one.terms.indices
        right = one.embeddings.astype(np.float32)
        scores.append(sparse_embed_score(*pair, query.embeddings, right, xp=np))
    return np.array(scores, np.float32)


@settings(deadline=None)
@given(st.sets(st.integers(0, 12), max_size=6), ROWS, st.integers(1, 5), st.booleans())
def test_the_kernel_equals_the_definition(
    asked: set[int], rows: list[set[int]], dim: int, half: bool
) -> None:
    query, documents = random_rows([asked], dim), random_rows(rows, dim, seed=1)
    documents = documents.half() if half else documents
    for chosen in (np.arange(len(rows)), np.arange(len(rows))[::-2], np.empty(0, np.int64)):
        scores = sparse_embed_scores(query, documents, chosen)
        assert scores.shape == chosen.shape
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, defined(query, documents, chosen), atol=1e-5)


def test_no_terms_at_all_score_0() -> None:
    query, documents = random_rows([set()], 3), random_rows([set(), set()], 3)
    assert sparse_embed_scores(query, documents, np.arange(2)).tolist() == [0, 0]


@settings(deadline=None)
@given(ROWS, st.sets(st.integers(0, 5)), st.sampled_from([1, 2, 100]))
def test_search_reranks_the_candidates_that_the_weights_choose(
    rows: list[set[int]], deleted: set[int], candidates: int
) -> None:
    index, documents = TermEmbeddingIndex(3), random_rows(rows, 3, seed=1)
    index.add(documents[:2])
    index.add(documents[2:])
    gone = np.array([id for id in deleted if id < len(rows)], np.int64)
    index.delete(gone)
    index.candidates = candidates
    queries = random_rows([{1, 2, 3}, set(), {5, 9}], 3)
    found = index.search(queries, 1)
    alive = np.setdiff1d(np.arange(len(rows)), gone)
    for row in range(3):
        query = queries[row : row + 1]
        weights = [weigh(query.terms, documents.terms[id : id + 1]) for id in alive]
        sharing = [(-weight, id) for weight, id in zip(weights, alive, strict=True) if weight > 0]
        chosen = np.sort(np.array([id for _, id in sorted(sharing)[:candidates]], np.int64))
        scores = defined(query, documents.half(), chosen)
        assert (found.ids[row] >= 0).sum() == min(1, len(chosen))
        if len(chosen):
            assert found.scores[row, 0] == pytest.approx(scores.max(), abs=1e-5)
            assert found.ids[row, 0] == chosen[scores.argmax()]


def weigh(query: SparseVectors, document: SparseVectors) -> float:
    pairs = dict(zip(document.indices.tolist(), document.values.tolist(), strict=True))
    asked = zip(query.indices.tolist(), query.values.tolist(), strict=True)
    return float(sum(weight * pairs.get(term, 0.0) for term, weight in asked))


def test_a_candidate_that_shares_no_term_scores_0_and_is_no_hit_of_a_search() -> None:
    index = TermEmbeddingIndex(2)
    index.add(random_rows([{1}, {2}, {2, 3}], 2))
    queries = random_rows([{2}], 2, seed=1)
    everything = Hits(np.array([[0, 1, 2, -1]]), np.zeros((1, 4), np.float32))
    reranked = dict(zip(*rerank(queries, everything, 4, index.scorer()).row(0), strict=True))
    assert set(reranked) == {0, 1, 2}
    assert reranked[0] == 0
    assert set(index.search(queries, 3).row(0)[0].tolist()) == {1, 2}


def test_wrong_calls_are_refused() -> None:
    index = TermEmbeddingIndex(2)
    index.add(random_rows([{1}, {2}], 2))
    index.delete(np.array([0]))
    queries = random_rows([{2}], 2)
    with pytest.raises(ValueError, match="vectors must have width 2, got 3"):
        index.add(random_rows([{1}], 3))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        rerank(queries, Hits.empty(1, 1), 0, index.scorer())
    with pytest.raises(ValueError, match="got 1 queries for 3 rows of hits"):
        rerank(queries, Hits.empty(3, 1), 1, index.scorer())
    for unknown in (0, 2):
        hits = Hits(np.array([[unknown]]), np.zeros((1, 1), np.float32))
        with pytest.raises(ValueError, match=f"unknown document {unknown}; it is not stored"):
            rerank(queries, hits, 1, index.scorer())
    assert len(index) == 1
    assert index.n_terms() == 1


@pytest.mark.parametrize("name", ["manifest.json", "retriever-*.safetensors"])
def test_a_damaged_index_is_refused(name: str, tmp_path: Path) -> None:
    model = SparseEmbed.load(FIXTURES / "sparse-embed")
    model.add(model.encode_documents(TEXTS))
    model.save(tmp_path)
    path = next(tmp_path.rglob(name))
    path.write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"{path.name}' is damaged"):
        SparseEmbed.load(FIXTURES / "sparse-embed", tmp_path)


def test_terms_and_weights_are_those_of_a_splade_model() -> None:
    model = SparseEmbed.load(FIXTURES / "sparse-embed")
    vectors = model.encode_documents(TEXTS)
    assert vectors.embeddings.dtype == np.float32
    assert vectors.embeddings.shape == (len(vectors.terms.indices), model.encoder.checkpoint.dim)
    assert (vectors.embeddings >= 0).all()
    splade = Splade.load(FIXTURES / "splade")
    assert [list(row) for row in model.decode(vectors)] == [
        list(row) for row in splade.decode(splade.encode_documents(TEXTS))
    ]


def test_pair_scores_equal_reranking_up_to_the_stored_precision() -> None:
    model = SparseEmbed.load(FIXTURES / "sparse-embed")
    model.add(model.encode_documents(TEXTS))
    pairs = model.scores(["snow and sea"] * len(TEXTS), TEXTS)
    everything = Hits(np.arange(len(TEXTS))[None], np.zeros((1, len(TEXTS)), np.float32))
    hits = model.rerank(model.encode_queries(["snow and sea"]), everything, len(TEXTS))
    np.testing.assert_allclose(hits.scores[0], pairs[hits.ids[0]], rtol=2e-3)


def test_it_reranks_what_another_found() -> None:
    model, bm25 = SparseEmbed.load(FIXTURES / "sparse-embed"), BM25()
    model.add(model.encode_documents(TEXTS))
    bm25.add(bm25.encode_documents(TEXTS))
    hits = bm25.search(bm25.encode_queries(["snow", "snow"]), 4)
    reranked = model.rerank(model.encode_queries(["snow", "snow"]), hits, 3)
    assert reranked.ids.tolist() == [[2, 5, -1]] * 2
    assert reranked.scores[0, 0] == reranked.scores[0, 1] == reranked.scores[1, 0]


def test_kept_vectors_can_be_given_again(tmp_path: Path) -> None:
    model = SparseEmbed.load(FIXTURES / "sparse-embed")
    vectors = model.encode_documents(TEXTS)
    vectors.half().save(tmp_path)
    again = SparseEmbed.load(FIXTURES / "sparse-embed")
    again.add(TermEmbeddings.load(tmp_path))
    model.add(vectors)
    queries = model.encode_queries(["snow and sea", ""])
    for found, wanted in zip(again.search(queries, 9), model.search(queries, 9), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_number_of_candidates_is_kept_with_the_index(tmp_path: Path) -> None:
    folder, model = tmp_path / "index", FIXTURES / "sparse-embed"
    retriever = SparseEmbed.load(model)
    retriever.add(retriever.encode_documents(TEXTS))
    queries = retriever.encode_queries(["river", "snow"])
    for candidates in (CANDIDATES, 1, 3):
        retriever.index.candidates = np.int64(candidates)  # type: ignore[assignment]
        retriever.save(folder)
        loaded = SparseEmbed.load(model, folder)
        assert loaded.index.candidates == candidates
        assert type(loaded.index.candidates) is int
        found, wanted = loaded.search(queries, 1), retriever.search(queries, 1)
        assert found.to_lists() == wanted.to_lists()
    record = {**retriever.record()}
    del record["candidates"]  # as it was written before the number was kept
    assert SparseEmbed.from_record(record, model).index.candidates == CANDIDATES


@pytest.mark.parametrize(("candidates", "error"), [(0, ValueError), (2.5, TypeError)])
def test_a_wrong_number_of_candidates_is_refused(candidates: int, error: type[Exception]) -> None:
    retriever = SparseEmbed.load(FIXTURES / "sparse-embed")
    retriever.index.candidates = candidates
    with pytest.raises(error, match="candidates must be"):
        retriever.search(retriever.encode_queries(["snow"]), 1)
    with pytest.raises(error, match="candidates must be"):
        retriever.record()


def test_a_query_of_any_term_takes_no_room_for_the_terms_below() -> None:
    index = TermEmbeddingIndex(2)
    index.add(random_rows([{1, 2}], 2))
    query = random_rows([{2, 2**31 - 1}], 2)
    assert index.search(query, 10**10).row(0)[0].tolist() == [0]
