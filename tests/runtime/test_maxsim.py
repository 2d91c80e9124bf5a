"""The ragged MaxSim kernel against the definition, and the index against the kernel."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.definitions import defined

from glane.hits import Hits, rerank
from glane.maxsim import kernel as module
from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.quantization import KINDS, CodeKind, encode
from glane.model.scoring import NO_TOKENS_SCORE
from glane.ragged import join_lengths
from glane.vectors import TokenVectors

LENGTHS = st.lists(st.integers(0, 5), max_size=7)


def random_vectors(lengths: list[int], dim: int, seed: int = 0) -> TokenVectors:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 9), st.sampled_from([8, 16, 8192]))
def test_the_kernel_equals_the_definition(
    query_lengths: list[int], document_lengths: list[int], dim: int, block: int
) -> None:
    queries = random_vectors(query_lengths, dim, seed=1)
    documents = random_vectors(document_lengths, dim, seed=2).half()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_TOKENS", block)
        patch.setattr(module, "BLOCK_SIMILARITIES", 3 * block)
        scores = maxsim_scores(queries, documents)
    assert scores.shape == (len(query_lengths), len(document_lengths))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, defined(queries, documents), atol=1e-5)


@settings(deadline=None)
@given(LENGTHS, st.lists(st.integers(0, 6), max_size=9), st.sampled_from(KINDS))
def test_some_documents_are_scored_as_among_all(
    lengths: list[int], chosen: list[int], kind: CodeKind
) -> None:
    queries = random_vectors([3, 0, 2], 8, seed=1)
    documents = encode(random_vectors(lengths, 8, seed=2), kind)
    rows = np.array([row for row in chosen if row < len(lengths)], np.int64)
    whole = maxsim_scores(queries, documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_TOKENS", 8)
        some = maxsim_scores(queries, documents, rows=rows)
    assert some.shape == (3, len(rows))
    if kind == "float16":
        np.testing.assert_allclose(some, whole[:, rows], rtol=1e-6)
    else:
        assert np.array_equal(some, whole[:, rows])


def test_similarities_below_0_stay_below_0() -> None:
    query = random_vectors([3], 4)
    opposite = TokenVectors(query.offsets, -np.tile(query.values.sum(0), (3, 1)))
    scores = maxsim_scores(query, opposite)
    assert scores[0, 0] < 0
    np.testing.assert_allclose(scores, defined(query, opposite), rtol=1e-6)


def test_an_empty_document_does_not_take_its_neighbours_score() -> None:
    documents = random_vectors([0, 3, 0, 0, 2, 0], 4)
    scores = maxsim_scores(random_vectors([2, 0], 4, seed=1), documents)
    empty = [0, 2, 3, 5]
    assert (scores[:, empty] == NO_TOKENS_SCORE).all()
    assert (scores[:, [1, 4]] > NO_TOKENS_SCORE).all()
    assert (scores[1, [1, 4]] == 0).all()


def test_documents_longer_than_a_block_are_scored_whole() -> None:
    queries, documents = random_vectors([4], 8, seed=1), random_vectors([9000, 3, 20_000, 1], 8)
    np.testing.assert_allclose(
        maxsim_scores(queries, documents), defined(queries, documents), atol=1e-5
    )


def filled_index(documents: TokenVectors, kind: CodeKind = "int8") -> MaxSimIndex:
    index = MaxSimIndex(documents.dim, TokenStorage(kind=kind))
    index.add(documents)
    return index


@settings(deadline=None)
@given(LENGTHS, st.lists(st.integers(0, 7), max_size=4))
def test_adding_in_parts_equals_adding_at_once(lengths: list[int], cuts: list[int]) -> None:
    documents, queries = random_vectors(lengths, 4), random_vectors([3, 0, 1], 4, seed=1)
    parts = MaxSimIndex(4)
    numbers = [np.empty(0, np.int64)]
    bounds = [0, *sorted(cuts), len(lengths)]
    for low, high in pairwise(bounds):
        numbers.append(parts.add(documents[low:high]))
    assert np.concatenate(numbers).tolist() == list(range(len(lengths)))
    assert len(parts) == len(lengths)
    whole = filled_index(documents).search(queries, 5)
    found = parts.search(queries, 5)
    np.testing.assert_array_equal(found.ids, whole.ids)
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-5)


@settings(deadline=None)
@given(LENGTHS, st.lists(st.integers(0, 7), max_size=3), st.sets(st.integers(0, 6)))
def test_search_equals_rerank_over_all(
    lengths: list[int], cuts: list[int], deleted: set[int]
) -> None:
    documents, queries = random_vectors(lengths, 4), random_vectors([2, 0, 4], 4, seed=1)
    index = MaxSimIndex(4)
    bounds = [0, *sorted(cuts), len(lengths)]
    for low, high in pairwise(bounds):
        index.add(documents[low:high])
    gone = np.array([id for id in deleted if id < len(lengths)], np.int64)
    index.delete(gone)
    alive = np.setdiff1d(np.arange(len(lengths)), gone)
    shuffled = np.random.default_rng(0).permutation(alive)
    candidates = Hits(np.tile(shuffled, (3, 1)), np.zeros((3, len(alive)), np.float32))
    reranked, found = rerank(queries, candidates, 8, index.scorer()), index.search(queries, 8)
    np.testing.assert_array_equal(reranked.ids, found.ids)
    np.testing.assert_allclose(reranked.scores, found.scores, atol=1e-5)


def test_equal_documents_come_in_order_of_their_numbers() -> None:
    one = random_vectors([5], 16)
    index = MaxSimIndex(16)
    for _ in range(3):
        index.add(TokenVectors.concatenate([one] * 7))
    queries = random_vectors([3, 8], 16, seed=1)
    assert index.search(queries, 30).ids[:, :21].tolist() == [list(range(21))] * 2
    backwards = Hits(np.arange(21)[None, ::-1], np.zeros((1, 21), np.float32))
    assert rerank(queries[:1], backwards, 4, index.scorer()).ids.tolist() == [[0, 1, 2, 3]]


def test_k_above_the_corpus_ends_in_sentinels() -> None:
    hits = filled_index(random_vectors([2, 0], 4)).search(random_vectors([1], 4, seed=1), 4)
    assert hits.ids.tolist() == [[0, 1, -1, -1]]
    assert hits.scores[0, 1:].tolist() == [NO_TOKENS_SCORE, -np.inf, -np.inf]


def test_an_empty_index_finds_nothing() -> None:
    queries = random_vectors([2, 0], 4)
    for index in (MaxSimIndex(4), filled_index(random_vectors([], 4))):
        assert index.search(queries, 3).to_lists() == [[], []]
        assert rerank(queries, Hits.empty(2, 5), 3, index.scorer()).ids.shape == (2, 3)
        assert index.search(queries[:0], 3).ids.shape == (0, 3)
        assert len(index) == 0


def test_more_queries_than_are_scored_at_once() -> None:
    documents, queries = random_vectors([3] * 20, 8), random_vectors([2] * 19, 8, seed=1)
    hits = filled_index(documents, "float16").search(queries, 20)
    expected = defined(queries, documents.half())
    for row in range(19):
        np.testing.assert_allclose(hits.scores[row], expected[row, hits.ids[row]], atol=1e-5)


def test_deleted_documents_are_forgotten_and_their_numbers_not_reused() -> None:
    index = filled_index(random_vectors([1, 2, 3], 4))
    index.delete(np.array([1]))
    queries = random_vectors([2], 4, seed=1)
    assert sorted(index.search(queries, 3).row(0)[0].tolist()) == [0, 2]
    assert len(index) == 2
    assert index.add(random_vectors([1], 4)).tolist() == [3]


@pytest.mark.parametrize("unknown", [-1, 3, 1])
def test_deleting_an_unknown_document_deletes_nothing(unknown: int) -> None:
    index = filled_index(random_vectors([1, 2, 3], 4))
    index.delete(np.array([1]))
    with pytest.raises(ValueError, match=f"unknown document {unknown}"):
        index.delete(np.array([0, unknown]))
    assert len(index) == 2


@pytest.mark.parametrize("unknown", [-2, 3, 1])
def test_reranking_an_unknown_document_is_refused(unknown: int) -> None:
    index = filled_index(random_vectors([1, 2, 3], 4))
    index.delete(np.array([1]))
    candidates = Hits(np.array([[0, unknown, -1]]), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=f"unknown document {unknown}"):
        rerank(random_vectors([2], 4), candidates, 3, index.scorer())


def test_wrong_arguments_are_refused() -> None:
    index = filled_index(random_vectors([1], 4))
    queries = random_vectors([1, 1], 4)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        index.search(queries, 0)
    with pytest.raises(ValueError, match="k must be at least 1, got -1"):
        rerank(queries, Hits.empty(2, 1), -1, index.scorer())
    with pytest.raises(ValueError, match="got 2 queries for 3 rows of hits"):
        rerank(queries, Hits.empty(3, 1), 1, index.scorer())
    with pytest.raises(ValueError, match="vectors must have width 4, got 5"):
        index.add(random_vectors([1], 5))
    assert len(index) == 1


def test_compacted_it_answers_the_same() -> None:
    index = filled_index(random_vectors([2, 0, 4, 1], 8))
    index.add(random_vectors([3], 8, seed=2))
    index.delete(np.array([2]))
    queries = random_vectors([3, 1], 8, seed=1)
    before = index.search(queries, 5)
    index.rows.compact()
    after = index.search(queries, 5)
    np.testing.assert_array_equal(after.ids, before.ids)
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-6)
    assert [part.n_rows for part in index.rows.parts] == [4]
