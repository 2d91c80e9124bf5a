"""The definition of MaxSim, by hand and by its stated rules."""

import numpy as np
import pytest

from glane.scoring import NO_TOKENS_SCORE, maxsim
from glane.types import Floats, Mask


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
