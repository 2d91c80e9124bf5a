"""Paired comparisons: by hand, against scipy, and in what must not depend on order or memory."""

import math
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.evaluation import paired
from glane.evaluation.paired import compare, holm

GRADES = st.sampled_from([0.0, 0.3, 0.6309, 1.0])


def by_definition(differences: npt.NDArray[np.float64]) -> float:
    """The share of all flips of signs that lie as far from 0 as what was found."""
    found = abs(differences.sum())
    flips = np.array(list(product([1, -1], repeat=len(differences))))
    return float((np.abs(flips @ differences) >= found - 1e-9).mean())


def test_three_queries_by_hand() -> None:
    """.1 + .2 + .3: of eight flips, that and its mirror lie as far from 0."""
    found = compare([0.5, 0.5, 0.5], [0.6, 0.7, 0.8])
    assert found.difference == pytest.approx(0.2)
    assert found.p_value == 0.25
    assert (found.n, found.n_better, found.n_worse, found.n_equal) == (3, 3, 0, 0)
    assert found.is_exact
    assert 0.0999 < found.low < 0.2 < found.high < 0.3001
    assert found.half == (found.high - found.low) / 2
    # -.1 + .2 + .3 = .4: reached by it, by + + +, and by their mirrors
    assert compare([0.5, 0.5, 0.5], [0.4, 0.7, 0.8]).p_value == 0.5


def test_ties_of_sums_that_rounding_parts_are_ties() -> None:
    """.1 + .2 - .3 is 5.6e-17, not 0: half of the flips would be lost."""
    assert compare([0, 0, 0], [0.1, 0.2, -0.3]).p_value == 1
    assert compare([0, 0, 0, 0], [0.1, 0.2, -0.3, 0.3]).p_value == by_definition(
        np.array([0.1, 0.2, -0.3, 0.3])
    )


@settings(deadline=None)
@given(st.lists(st.tuples(GRADES, GRADES), min_size=1, max_size=9))
def test_few_queries_are_tested_exactly(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    found = compare(first, second, draws=50)
    assert found.is_exact
    assert found.p_value == pytest.approx(by_definition(second - first))
    assert found.difference == pytest.approx(float((second - first).mean()))
    assert found.low <= found.high
    assert found.n_better + found.n_worse + found.n_equal == found.n == len(pairs)


def test_nothing_that_differs_has_p_1() -> None:
    found = compare(np.full(50, 0.1), np.full(50, 0.1 + 1e-17))
    assert found[:4] == (0.0, 0.0, 0.0, 1.0)
    assert found.n_equal == 50
    rounded = compare([0.3, 1.0], [0.1 + 0.2, 1.0])
    assert (rounded.difference, rounded.n_equal) == (0.0, 2), "one step of rounding is no gain"


def test_of_one_query_nothing_is_known() -> None:
    found = compare([0.0], [1.0])
    assert found == (1.0, -math.inf, math.inf, 1.0, 1, 1, 0, True)


def test_only_queries_that_differ_are_flipped() -> None:
    few = compare([0.0] * 3, [0.1, 0.2, 0.3])
    many = compare([0.0] * 1003, [0.1, 0.2, 0.3] + [0.0] * 1000)
    assert many.is_exact
    assert many.p_value == few.p_value
    assert many.n_equal == 1000


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(GRADES, GRADES), min_size=2, max_size=60), st.integers(), st.integers(0, 9)
)
def test_no_order_matters(pairs: list[tuple[float, float]], order: int, seed: int) -> None:
    values = np.array(pairs)
    first, second = values.T
    found = compare(first, second, seed, draws=99)
    mixed, remixed = np.random.default_rng(abs(order)).permutation(values).T
    assert compare(mixed, remixed, seed, draws=99) == found
    turned = compare(second, first, seed, draws=99)
    assert (turned.difference, turned.low, turned.high) == (
        -found.difference,
        -found.high,
        -found.low,
    )
    assert turned.p_value == found.p_value
    assert (turned.n_better, turned.n_worse) == (found.n_worse, found.n_better)


def test_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    first, second = random.random((2, 70))
    found = compare(first, second, draws=500)
    monkeypatch.setattr(paired, "AT_ONCE", 200)
    assert compare(first, second, draws=500) == found
    assert compare(first, second, seed=1, draws=500) != found


def samples(n: int, shift: float) -> npt.NDArray[np.float64]:
    random = np.random.default_rng(n)
    first = random.choice([0, 0.39, 0.5, 0.63, 1], n)
    return np.array([first, np.clip(first + random.normal(shift, 0.2, n), 0, 1)])


@pytest.mark.parametrize(("n", "shift"), [(2, 0.1), (7, 0.2), (12, 0.0), (12, 0.3)])
def test_an_exact_p_value_is_scipys(n: int, shift: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    first, second = samples(n, shift)
    theirs = stats.permutation_test(
        (second, first), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=2**n
    )
    assert compare(first, second).p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("n", "shift"), [(40, 0.03), (300, 0.01), (300, 0.0)])
def test_a_drawn_p_value_is_near_scipys(n: int, shift: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    first, second = samples(n, shift)
    theirs = stats.permutation_test(
        (second, first),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    found = compare(first, second)
    assert not found.is_exact
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert found.p_value == pytest.approx(stats.ttest_rel(second, first).pvalue, abs=0.03)


@pytest.mark.parametrize(("n", "shift"), [(8, 0.2), (40, 0.03), (300, 0.01)])
def test_an_interval_is_near_scipys(n: int, shift: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    first, second = samples(n, shift)
    theirs = stats.bootstrap(
        ((second - first),), np.mean, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    found = compare(first, second)
    assert found.low == pytest.approx(theirs.low, abs=0.1 * found.half)
    assert found.high == pytest.approx(theirs.high, abs=0.1 * found.half)


def test_a_drawn_p_value_counts_what_was_found_itself() -> None:
    found = compare(np.zeros(30), np.ones(30), draws=99)
    assert found.p_value == 1 / 100
    assert (found.low, found.high) == (1, 1)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7, 0.5]) == [1, 1, 1]
    assert holm([0.02, 0.02]) == [0.04, 0.04]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([], [], "at least one query must be compared, got none"),
        ([1.0], [1.0, 2.0], r"both of shape \(n,\); got \(1,\) and \(2,\)"),
        ([[1.0]], [[1.0]], r"got \(1, 1\) and \(1, 1\)"),
        ([1.0, math.nan], [1.0, 1.0], "must be finite, got nan or inf"),
        ([1.0], [math.inf], "must be finite, got nan or inf"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    first: list[float], second: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(first, second)
