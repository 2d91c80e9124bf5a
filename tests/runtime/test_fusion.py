"""Fusion of two rankings, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.hits import Hits
from glane.model.scoring import NO_TOKENS_SCORE
from glane.retrievers.fusion import Fusion, check_fusion, fuse

METHODS: list[Fusion] = ["rrf", "relative"]
both = pytest.mark.parametrize("method", METHODS)


def hits(*rows: dict[int, float], k: int = 4) -> Hits:
    """Hits of one row a dictionary, from ids to scores."""
    return Hits.from_rows(
        [(np.array(list(row), np.int64), np.array([*row.values()], np.float32)) for row in rows], k
    )


def by_id(result: Hits, row: int = 0) -> dict[int, float]:
    ids, scores = result.row(row)
    return dict(zip(ids.tolist(), scores.tolist(), strict=True))


def test_rrf_by_hand() -> None:
    first, second = hits({1: 9, 2: 5, 3: 1}), hits({3: 40, 4: 30, 1: 20})
    scores = by_id(fuse(first, second, 4, "rrf", 0.25))
    assert scores == pytest.approx(
        {
            1: 0.25 / 61 + 0.75 / 63,
            2: 0.25 / 62,
            3: 0.25 / 63 + 0.75 / 61,
            4: 0.75 / 62,
        }
    )
    assert list(scores) == [3, 1, 4, 2]


def test_relative_by_hand() -> None:
    # Mean 5 and deviation sqrt(32/3); mean 2 and deviation 1.
    first, second = hits({1: 9, 2: 5, 3: 1}), hits({1: 1, 3: 3})
    spread = np.sqrt(32 / 3)
    scores = by_id(fuse(first, second, 4, "relative", 0.6))
    assert scores == pytest.approx(
        {1: 0.6 * 4 / spread - 0.4, 2: -0.4, 3: 0.6 * -4 / spread + 0.4}, abs=1e-6
    )
    assert list(scores) == [1, 3, 2]


@both
def test_sentinels_never_enter(method: Fusion) -> None:
    narrow = fuse(hits({1: 2, 2: 1}, k=2), hits({2: 5, 3: 4}, k=2), 3, method)
    wide = fuse(hits({1: 2, 2: 1}, k=50), hits({2: 5, 3: 4}, k=9), 3, method)
    assert by_id(wide) == by_id(narrow)
    assert set(by_id(wide)) == {1, 2, 3}
    assert np.isfinite(wide.scores).all()


@both
def test_one_empty_ranking_leaves_the_order_of_the_other(method: Fusion) -> None:
    full, none = hits({7: 3, 5: 2, 6: 1}), hits({})
    assert fuse(full, none, 3, method).ids.tolist() == [[7, 5, 6]]
    assert fuse(none, full, 3, method).ids.tolist() == [[7, 5, 6]]
    assert fuse(none, none, 3, method).to_lists() == [[]]


def test_a_ranking_of_equal_scores_says_nothing() -> None:
    flat, second = hits({1: 0.1, 2: 0.1, 3: 0.1}), hits({3: 3, 2: 2, 1: 1})
    assert fuse(flat, second, 3, weight=0.9).ids.tolist() == [[3, 2, 1]]
    one = fuse(hits({4: 7.0}), hits({4: -7.0}), 1)
    assert by_id(one) == {4: 0.0}


def test_a_missing_document_gets_the_lowest_score_of_the_ranking() -> None:
    scores = by_id(fuse(hits({1: 2, 2: 1}), hits({3: 9, 1: 8}), 4, weight=0.5))
    assert scores[2] == pytest.approx(-1)
    assert scores[3] == pytest.approx(0)
    assert scores[1] == pytest.approx(0)


@both
def test_equal_sums_come_by_lower_id(method: Fusion) -> None:
    fused = fuse(hits({9: 2, 4: 1}), hits({4: 2, 9: 1}), 2, method, 0.5)
    assert fused.ids.tolist() == [[4, 9]]
    assert fused.scores[0, 0] == fused.scores[0, 1]


@both
def test_the_ends_of_the_weight_are_the_rankings_themselves(method: Fusion) -> None:
    first, second = hits({1: 3, 2: 2, 3: 1}), hits({3: 3, 1: 2, 2: 1})
    assert fuse(first, second, 3, method, 1).ids.tolist() == [[1, 2, 3]]
    assert fuse(first, second, 3, method, 0).ids.tolist() == [[3, 1, 2]]


@both
def test_each_query_is_fused_on_its_own(method: Fusion) -> None:
    rows: list[dict[int, float]] = [{1: 3, 2: 1}, {}, {1: 3, 2: 1}, {5: 9, 1: 4, 2: 2}]
    fused = fuse(hits(*rows), hits(*reversed(rows)), 3, method)
    assert fused.ids.shape == (4, 3)
    for row, (one, other) in enumerate(zip(rows, reversed(rows), strict=True)):
        assert by_id(fused, row) == by_id(fuse(hits(one), hits(other), 3, method))
    assert fuse(Hits.empty(0, 4), Hits.empty(0, 2), 3, method).ids.shape == (0, 3)


@pytest.mark.parametrize("weight", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_weight_outside_0_to_1_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight must be between 0 and 1"):
        fuse(hits({}), hits({}), 1, weight=weight)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="'rrf' or 'relative', got 'mean'"):
        check_fusion("mean", 0.5)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        fuse(hits({}), hits({}), 0)
    with pytest.raises(ValueError, match="got 1 rows of hits and 2"):
        fuse(hits({}), hits({}, {}), 1)


MARKS = [NO_TOKENS_SCORE, -1e9, float(np.finfo(np.float32).min), -np.inf, np.nan]
"""What stands in a ranking for "no score"."""


@given(
    st.lists(st.sampled_from(MARKS), min_size=1, max_size=4),
    st.lists(st.integers(-60, 60), min_size=1, max_size=8, unique=True),
    st.sampled_from([0.0, 0.2, 0.5, 0.9]),
)
def test_a_mark_for_no_score_leaves_the_others_as_they_were(
    marks: list[float], told: list[int], weight: float
) -> None:
    first = {id: float(3 * id % 7) for id in range(len(told) + len(marks))}
    second = {id: float(score) for id, score in enumerate(told)}
    marked = second | {len(told) + place: mark for place, mark in enumerate(marks)}
    without = by_id(fuse(hits(first, k=20), hits(second, k=20), 20, weight=weight))
    found = by_id(fuse(hits(first, k=20), hits(marked, k=20), 20, weight=weight))
    # A document with a mark is ranked as one that the ranking lacks, or just below.
    assert found == pytest.approx(without, abs=4e-6)
    assert {id: found[id] for id in second} == {id: without[id] for id in second}
    if weight == 0:
        assert set(list(found)[-len(marks) :]) == set(marked) - set(second)


@pytest.mark.parametrize("mark", MARKS)
def test_a_ranking_of_marks_alone_says_nothing(mark: float) -> None:
    fused = fuse(hits({1: 3, 2: 2, 3: 1}), hits({3: mark, 2: mark, 1: mark}), 3, weight=0.01)
    assert fused.ids.tolist() == [[1, 2, 3]]
    assert np.isfinite(fused.scores).all()


def test_an_infinite_score_stays_first_and_hides_no_other() -> None:
    first, second = hits({1: 1, 2: 1, 3: 1}), hits({1: np.inf, 2: 5, 3: 4})
    assert fuse(first, second, 3).ids.tolist() == [[1, 2, 3]]
    assert np.isfinite(fuse(first, second, 3).scores).all()


def test_scores_that_all_lie_below_the_mark_still_count() -> None:
    first, second = hits({1: 1, 2: 1, 3: 1}), hits({1: -30_000, 2: -20_000, 3: -25_000})
    assert fuse(first, second, 3).ids.tolist() == [[2, 3, 1]]
