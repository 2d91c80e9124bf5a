"""Outlines, and the candidates that they choose, against scoring every document."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.hits import Hits
from glane.maxsim import index as maxsim
from glane.maxsim import outlines as module
from glane.maxsim.index import MaxSimIndex, TokenStorage, tokens_of
from glane.maxsim.integers import query_codes
from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.outlines import condensed, left_by_second, n_left_by_first, outlines
from glane.maxsim.quantization import KINDS, CodeKind, TokenCodes, as_stored, unsigned
from glane.model.scoring import NO_TOKENS_SCORE
from glane.ragged import join_lengths
from glane.vectors import TokenVectors

OUTLINED = TokenStorage(outlines=True)
LENGTHS = st.lists(st.integers(0, 9), max_size=7)


def unit(lengths: list[int], dim: int, seed: int = 0) -> TokenVectors:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def topical(n_documents: int, seed: int) -> TokenVectors:
    """Return documents of 40 tokens, each near one of its document's five of 300 topics."""
    generator = np.random.default_rng(seed)
    topics = np.random.default_rng(99).normal(size=(300, 16))
    of_tokens = generator.choice(300, (n_documents, 5))[:, generator.integers(0, 5, 40)]
    values = topics[of_tokens.ravel()] + 0.4 * generator.normal(size=(n_documents * 40, 16))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths([40] * n_documents), values.astype(np.float32))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three documents be too many to score them all, and keep few of them."""
    monkeypatch.setattr(maxsim, "EXACT_UP_TO", 2)
    monkeypatch.setattr(module, "LEAST", 4)
    monkeypatch.setattr(module, "FEWEST", 1)


@given(LENGTHS, st.integers(1, 4))
@settings(deadline=None)
def test_a_condensed_query_is_the_sums_of_its_groups_and_their_sizes(
    lengths: list[int], factor: int
) -> None:
    queries = unit(lengths, 4)
    (short,) = condensed(queries, [factor])
    assert np.diff(short.offsets).tolist() == [-(-length // factor) for length in lengths]
    for row, length in enumerate(lengths):
        total = short[row : row + 1].values.sum(axis=0)
        tokens = queries[row : row + 1].values.sum(axis=0)
        np.testing.assert_allclose(total, [*tokens, length], atol=1e-5)


def test_a_query_is_condensed_for_several_levels_as_for_each() -> None:
    queries = unit([7, 0, 12, 1], 8)
    for factor, found in zip((4, 2), condensed(queries, [4, 2]), strict=True):
        (alone,) = condensed(queries, [factor])
        np.testing.assert_array_equal(found.offsets, alone.offsets)
        np.testing.assert_array_equal(found.values, alone.values)


def test_an_outline_of_few_tokens_is_the_tokens() -> None:
    documents, queries = unit([16, 3, 0], 32), unit([5], 32, seed=1)
    outline = outlines(documents)[0]
    (whole,) = condensed(queries, [1])
    scores = maxsim_scores(whole, outline)
    np.testing.assert_allclose(scores, maxsim_scores(queries, documents), atol=0.02)
    assert scores[0, 2] == NO_TOKENS_SCORE


def test_outlines_have_the_stated_number_of_vectors() -> None:
    coarse, fine = outlines(unit([50, 0, 7], 8))
    assert np.diff(coarse.offsets).tolist() == [16, 0, 7]
    assert np.diff(fine.offsets).tolist() == [13, 0, 2]


def test_how_many_documents_go_on() -> None:
    assert [n_left_by_first(5183, k) for k in (1, 100, 250)] == [1000, 1000, 2500]
    assert n_left_by_first(60_000, 100) == 10_000
    scores = np.array([*range(200, 0, -1), NO_TOKENS_SCORE], np.float32)
    assert left_by_second(scores, 10, 1).sum() == 100
    assert left_by_second(scores, 150, 36).tolist() == [True] * 151 + [False] * 50
    assert left_by_second(scores[:80], 10, 4).all()
    assert left_by_second(np.full(300, NO_TOKENS_SCORE, np.float32), 10, 0).all()


def test_candidates_hold_the_best_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maxsim, "EXACT_UP_TO", 2)
    monkeypatch.setattr(module, "FEWEST", 20)
    documents, queries = topical(400, seed=0), topical(8, seed=1)
    exact, chosen = MaxSimIndex(16), MaxSimIndex(16, OUTLINED)
    for index in (exact, chosen):
        index.add(documents)
    best, found = exact.search(queries, 20), chosen.search(queries, 20)
    assert np.mean([np.isin(*rows) for rows in zip(best.ids, found.ids, strict=True)]) > 0.97
    same = best.ids == found.ids
    np.testing.assert_array_equal(best.scores[same], found.scores[same])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", KINDS)
def test_added_in_parts_deleted_and_compacted_it_answers_the_same(
    kind: CodeKind,
) -> None:
    documents, queries = topical(60, seed=0), topical(4, seed=1)
    storage = TokenStorage(kind=kind, pool=2, outlines=True)
    index, parts = (MaxSimIndex(16, storage) for _ in range(2))
    index.add(documents)
    for start in (0, 7, 8, 40):
        parts.add(documents[start : {0: 7, 7: 8, 8: 40, 40: 60}[start]])
    for each in (index, parts):
        each.delete(np.array([3, 59]))
    expected = index.search(queries, 3)
    assert not np.isin(expected.ids, [3, 59, -1]).any()
    assert_same(parts.search(queries, 3), expected)
    parts.rows.compact()
    assert_same(parts.search(queries, 3), expected)


@pytest.mark.usefixtures("small")
def test_candidates_of_nothing_and_of_empty_documents() -> None:
    index = MaxSimIndex(4, OUTLINED)
    queries = unit([2, 0], 4)
    assert index.search(queries, 3).to_lists() == [[], []]
    index.add(unit([0, 0, 3, 0, 0], 4))
    hits = index.search(queries, 5)
    assert hits.ids.tolist() == [[2, 0, 1, 3, 4]] * 2
    assert hits.scores[0, 1:].tolist() == [NO_TOKENS_SCORE] * 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", [1, 3])
def test_scores_are_those_of_the_vectors_as_stored(kind: CodeKind, pool: int) -> None:
    documents, queries = unit([9, 0, 4], 8), unit([3, 2], 8, seed=1)
    index = MaxSimIndex(8, TokenStorage(kind=kind, pool=pool))
    index.add(documents)
    stored = tokens_of(index.rows.parts[0].arrays)
    assert np.diff(stored.offsets).tolist() == [-(-length // pool) for length in (9, 0, 4)]
    hits = index.search(queries, 3)
    expected = maxsim_scores(*as_multiplied(queries, stored))
    np.testing.assert_allclose(
        hits.scores, np.take_along_axis(expected, hits.ids, axis=1), atol=1e-5
    )


def test_wrong_storage_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of float16, int8, int4, got 'int3'"):
        MaxSimIndex(4, TokenStorage(kind="int3"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pool must be at least 1, got 0"):
        MaxSimIndex(4, TokenStorage(pool=0))


def as_multiplied(queries: TokenVectors, stored: TokenCodes) -> tuple[TokenVectors, TokenVectors]:
    """Return the vectors that the codes of both stand for; those of int4 are turned, both."""
    if isinstance(stored, TokenVectors):
        return queries, stored
    asked, asked_steps = query_codes(as_stored(queries.values, stored))
    codes, middle, steps = unsigned(stored, [slice(None)])
    return (
        TokenVectors(queries.offsets, asked * asked_steps[:, None]),
        TokenVectors(stored.offsets, (codes - np.float32(middle)) * steps[:, None]),
    )


def assert_same(one: Hits, other: Hits) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.scores, other.scores)
