"""`Hits` and the rule that orders them."""

import copy
import json
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.hits import FILLED_UP_TO, Hits, Results, best, check_k
from glane.types import Ids, Scores

# Few distinct scores, so that ties are common; ids differ, in any order.
SCORED = st.lists(
    st.tuples(st.integers(0, 10**12), st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 7.0])),
    unique_by=lambda pair: pair[0],
    max_size=30,
)


def arrays(pairs: list[tuple[int, float]]) -> tuple[Ids, Scores]:
    ids = np.array([id for id, _ in pairs], np.int64)
    return ids, np.array([score for _, score in pairs], np.float32)


@given(SCORED, st.integers(0, 35))
def test_best_is_what_a_full_sort_gives(pairs: list[tuple[int, float]], k: int) -> None:
    ids, scores = arrays(pairs)
    expected = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]
    assert [pairs[position] for position in best(scores, ids, k)] == expected


@given(st.lists(SCORED, max_size=4), st.integers(1, 35))
def test_rows_are_ordered_cut_and_filled_up(rows: list[list[tuple[int, float]]], k: int) -> None:
    hits = Hits.from_rows([arrays(row) for row in rows], k)
    assert hits.ids.shape == hits.scores.shape == (len(rows), k)
    assert hits.ids.dtype == np.int64
    assert hits.scores.dtype == np.float32
    for number, row in enumerate(rows):
        expected = sorted(row, key=lambda pair: (-pair[1], pair[0]))[:k]
        ids, scores = hits.row(number)
        assert list(zip(ids.tolist(), scores.tolist(), strict=True)) == expected
        assert (hits.ids[number, len(expected) :] == -1).all()
        assert (hits.scores[number, len(expected) :] == -np.inf).all()


def test_sentinels_never_reach_lists() -> None:
    row = (np.array([7, 3]), np.array([1.0, 2.0], np.float32))
    hits = Hits.from_rows([row, (np.empty(0, np.int64), np.empty(0, np.float32))], k=4)
    assert hits.to_lists() == [[{"id": 3, "score": 2.0}, {"id": 7, "score": 1.0}], []]
    assert json.loads(json.dumps(hits.to_lists())) == hits.to_lists()


@pytest.mark.parametrize("n_queries", [0, 1, 3])
def test_empty_hits_keep_the_shape(n_queries: int) -> None:
    hits = Hits.empty(n_queries, 5)
    assert hits.ids.shape == hits.scores.shape == (n_queries, 5)
    assert hits.to_lists() == [[]] * n_queries
    assert Hits.from_rows([], 5).ids.shape == (0, 5)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1_is_refused_by_its_name(k: int) -> None:
    with pytest.raises(ValueError, match=f"candidates must be at least 1, got {k}"):
        check_k(k, "candidates")
    check_k(1)


@pytest.mark.parametrize("k", [True, 10.0, 2.5, "3", None, np.float32(4), np.bool_(True)])
def test_k_that_is_not_an_integer_is_refused(k: object) -> None:
    with pytest.raises(TypeError, match="k must be an integer, got "):
        check_k(k)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, int])
def test_any_integer_is_a_plain_one_afterwards(kind: type[int]) -> None:
    assert type(check_k(kind(100))) is int
    assert check_k(kind(100)) == 100


@pytest.mark.parametrize("k", [10**6, 20_000_000, 10**10, sys.maxsize, 10**30])
def test_a_large_k_takes_no_more_room_than_there_are_hits(k: int) -> None:
    row = arrays([(0, 1), (1, 2), (2, 3)])
    hits = Hits.from_rows([row, row], k)
    assert hits.ids.shape == hits.scores.shape == (2, FILLED_UP_TO)
    assert hits.row(1)[0].tolist() == [2, 1, 0]
    long = arrays([(id, 0) for id in range(FILLED_UP_TO + 5)])
    assert Hits.from_rows([row, long], k).ids.shape == (2, FILLED_UP_TO + 5)
    assert Hits.from_rows([row, long], FILLED_UP_TO + 2).ids.shape == (2, FILLED_UP_TO + 2)


@pytest.mark.parametrize("n_queries", [0, 1, 2, 7])
def test_a_pair_of_answers_is_as_long_as_there_are_queries(n_queries: int) -> None:
    hits, results = Hits.empty(n_queries, 3), Results([[1]] * n_queries, [[0.5]] * n_queries)
    for pair in (hits, results):
        assert len(pair) == n_queries
        ids, scores = pair
        assert ids is pair.ids is pair[0]
        assert scores is pair.scores is pair[-1]
        assert pair._replace().scores is scores
        for same in (copy.copy(pair), pickle.loads(pickle.dumps(pair))):
            assert type(same) is type(pair)
            assert np.array_equal(same.ids, ids)
            assert np.array_equal(same.scores, scores)
