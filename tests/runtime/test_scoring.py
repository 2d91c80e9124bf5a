"""The definitions of the scores, by hand and by their stated rules."""

import math

import numpy as np
import pytest

from glane.model.scoring import (
    NO_TOKENS_SCORE,
    maxsim,
    sparse_dot,
    sparse_embed_score,
    splade_weights,
)
from glane.types import Floats, Ids, Mask


def score(queries: Floats, documents: Floats, query_mask: Mask, document_mask: Mask) -> Floats:
    scores: Floats = maxsim(queries, documents, query_mask, document_mask, xp=np)
    return scores


def all_of(vectors: Floats) -> Mask:
    return np.ones(vectors.shape[:-1], np.bool_)


QUERY = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
DOCUMENT = np.array([[0.0, 1.0], [0.8, 0.6], [-1.0, 0.0]], np.float32)


def test_a_case_worked_by_hand() -> None:
    # Similarities: [0, .8, -1] and [.8, .96, -.6]; the maxima .8 and .96 are summed.
    result = score(QUERY, DOCUMENT, all_of(QUERY), all_of(DOCUMENT))
    assert result == pytest.approx(1.76)
    assert result.dtype == np.float32


def test_a_masked_query_token_adds_0() -> None:
    mask = np.array([True, False])
    assert score(QUERY, DOCUMENT, mask, all_of(DOCUMENT)) == pytest.approx(0.8)
    assert score(QUERY, -QUERY[:1], mask, all_of(QUERY[:1])) == pytest.approx(-1.0)
    assert score(QUERY, DOCUMENT, ~mask & mask, all_of(DOCUMENT)) == 0.0


def test_a_masked_document_token_never_wins() -> None:
    mask = np.array([True, False, True])
    assert score(QUERY, DOCUMENT, all_of(QUERY), mask) == pytest.approx(0.0 + 0.8)


def test_padding_never_lifts_a_score_below_0() -> None:
    document = np.array([[-1.0, 0.0]], np.float32)
    alone = score(QUERY, document, all_of(QUERY), all_of(document))
    assert alone == pytest.approx(-1.6)
    for fill in (0.0, 1.0, -1.0):
        padded = np.concatenate([document, np.full((5, 2), fill, np.float32)])
        mask = np.arange(6) < 1
        assert score(QUERY, padded, all_of(QUERY), mask) == alone


def test_a_document_without_a_token_scores_the_constant() -> None:
    nothing = np.empty((0, 2), np.float32)
    masked = np.zeros(3, np.bool_)
    assert score(QUERY, nothing, all_of(QUERY), all_of(nothing)) == NO_TOKENS_SCORE
    assert score(QUERY, DOCUMENT, all_of(QUERY), masked) == NO_TOKENS_SCORE
    assert score(nothing, nothing, all_of(nothing), all_of(nothing)) == NO_TOKENS_SCORE
    assert np.isfinite(NO_TOKENS_SCORE)


def test_the_constant_lies_below_every_score_of_unit_vectors() -> None:
    longest = np.tile(np.array([[1.0, 0.0]], np.float32), (8192, 1))
    worst = score(longest, -longest[:1], all_of(longest), all_of(longest[:1]))
    assert worst == -8192
    assert worst > NO_TOKENS_SCORE


def test_a_query_without_a_token_scores_0() -> None:
    nothing = np.empty((0, 2), np.float32)
    assert score(nothing, DOCUMENT, all_of(nothing), all_of(DOCUMENT)) == 0.0


@pytest.mark.parametrize("n_tokens", [0, 1, 4])
def test_leading_axes_broadcast(n_tokens: int) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(3, 1, 2, 5)).astype(np.float32)
    documents = rng.normal(size=(4, n_tokens, 5)).astype(np.float32)
    query_mask, document_mask = rng.random((3, 1, 2)) < 0.7, rng.random((4, n_tokens)) < 0.7
    scores = score(queries, documents, query_mask, document_mask)
    assert scores.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            one = score(queries[i, 0], documents[j], query_mask[i, 0], document_mask[j])
            assert scores[i, j] == pytest.approx(one, abs=1e-5)


def weights(logits: list[list[float]], mask: list[bool]) -> Floats:
    shaped = np.array(logits, np.float32).reshape(len(mask), -1)
    found: Floats = splade_weights(shaped, np.array(mask, np.bool_), xp=np)
    return found


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_no_token_or_no_term_weighs_nothing(shape: tuple[int, int]) -> None:
    found = splade_weights(np.ones(shape, np.float32), np.ones(shape[0], np.bool_), xp=np)
    assert found.tolist() == [0.0] * shape[1]


def test_splade_weights_worked_by_hand() -> None:
    # The maxima over both positions are 1, 3 and -1; log(1 + ReLU(x)) makes them ln 2, ln 4 and 0.
    found = weights([[1, -2, -1], [0, 3, -4]], [True, True])
    assert found.tolist() == pytest.approx([math.log(2), math.log(4), 0])
    assert found.dtype == np.float32


def test_splade_weights_of_other_kinds_worked_by_hand() -> None:
    logits = np.array([[1, -2, -1], [0, 3, -4], [7, 7, 7]], np.float32)
    mask = np.array([True, True, False])
    summed = splade_weights(logits, mask, xp=np, pooling="sum")
    assert summed.tolist() == pytest.approx([math.log(2), math.log(4), 0])
    logits[1, 0] = 2
    summed = splade_weights(logits, mask, xp=np, pooling="sum")
    assert summed.tolist() == pytest.approx([math.log(2) + math.log(3), math.log(4), 0])
    twice = splade_weights(logits, mask, xp=np, activation="log1p_relu")
    assert twice.tolist() == pytest.approx([math.log1p(math.log(3)), math.log1p(math.log(4)), 0])
    both = splade_weights(logits, mask, xp=np, pooling="sum", activation="log1p_relu")
    hand = math.log1p(math.log(2)) + math.log1p(math.log(3))
    assert both.tolist() == pytest.approx([hand, math.log1p(math.log(4)), 0])
    assert both.dtype == np.float32


def test_a_masked_position_gives_no_weight() -> None:
    assert weights([[1, -2], [0, 3]], [True, False]).tolist() == pytest.approx([math.log(2), 0])
    assert weights([[9, 9], [9, 9]], [False, False]).tolist() == [0, 0]
    assert weights([[-1, -2], [9, 9]], [True, False]).tolist() == [0, 0]


def test_splade_weights_of_a_batch_are_those_of_each_text() -> None:
    rng = np.random.default_rng(0)
    logits, mask = rng.normal(size=(3, 4, 5)).astype(np.float32), rng.random((3, 4)) < 0.6
    together = splade_weights(logits, mask, xp=np)
    for row in range(3):
        alone = splade_weights(logits[row][mask[row]], np.ones(mask[row].sum(), np.bool_), xp=np)
        np.testing.assert_array_equal(together[row], alone)


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_a_sparse_dot_of_nothing_is_nothing(shape: tuple[int, int, int]) -> None:
    n_queries, n_documents, n_terms = shape
    queries, documents = np.ones((n_queries, n_terms)), np.ones((n_documents, n_terms))
    found = sparse_dot(queries, documents, xp=np)
    assert found.shape == (n_queries, n_documents)
    assert not found.any() or n_terms


def test_a_sparse_dot_worked_by_hand() -> None:
    # The first document shares terms 0 and 2: 1 * 4 + 2 * 0.5; the second shares none.
    queries, documents = np.array([[1.0, 0, 2]]), np.array([[4, 3, 0.5], [0, 7, 0]])
    assert sparse_dot(queries, documents, xp=np).tolist() == [[5, 0]]


def embed_score(
    query: dict[int, list[float]], document: dict[int, list[float]], dim: int = 2
) -> float:
    def arrays(terms: dict[int, list[float]]) -> tuple[Ids, Floats]:
        vectors = np.array(list(terms.values()), np.float32).reshape(len(terms), dim)
        return np.array(list(terms), np.int64), vectors

    (asked, left), (stored, right) = arrays(query), arrays(document)
    return float(sparse_embed_score(asked, stored, left, right, xp=np))


def test_no_shared_term_scores_0() -> None:
    some = {3: [1.0, 2.0]}
    for query, document in (({}, {}), (some, {}), ({}, some), (some, {4: [1.0, 2.0]})):
        assert embed_score(query, document) == 0
    assert embed_score({3: []}, {3: []}, dim=0) == 0


def test_a_sparse_embed_score_worked_by_hand() -> None:
    # Terms 5 and 2 are shared: (1, 0) . (3, 9) + (2, 1) . (1, 4) = 3 + 6; 7 and 8 are not.
    query = {5: [1.0, 0.0], 2: [2.0, 1.0], 7: [9.0, 9.0]}
    document = {2: [1.0, 4.0], 8: [9.0, 9.0], 5: [3.0, 9.0]}
    assert embed_score(query, document) == 9


def test_padding_of_short_rows_matches_nothing() -> None:
    query, document = {-1: [9.0, 9.0], 2: [2.0, 1.0]}, {2: [1.0, 4.0], -1: [9.0, 9.0]}
    assert embed_score(query, document) == 6


def test_sparse_embed_scores_broadcast() -> None:
    rng = np.random.default_rng(0)
    asked, stored = (np.array([rng.permutation(9)[:n] for _ in range(3)]) for n in (4, 6))
    left, right = rng.normal(size=(3, 1, 4, 2)), rng.normal(size=(3, 6, 2))
    together = sparse_embed_score(asked[:, None], stored, left, right, xp=np)
    assert together.shape == (3, 3)
    for i in range(3):
        for j in range(3):
            alone = sparse_embed_score(asked[i], stored[j], left[i, 0], right[j], xp=np)
            assert together[i, j] == pytest.approx(alone)
