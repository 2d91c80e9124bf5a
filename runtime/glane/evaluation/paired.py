"""Compares two systems on the same queries: how large the difference is, and how sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

DRAWS = 10_000
"""Resamplings for an interval, and flips of signs for a p value where not all are tried."""

MOST_EXACT = 20
"""Queries that may differ for all flips of their signs to be tried, 2 to that power."""

EQUAL = 1e-9
"""Values of a query that are no further apart are equal; such a step is rounding alone."""

AT_ONCE = 2_000_000
"""Numbers that lie in memory at once."""


class Comparison(NamedTuple):
    """How much better the second of two systems is than the first.

    Attributes:
        difference: Mean over the queries of the second's value less the first's.
        low: Lower limit of its 95 % interval, -inf of a single query.
        high: Upper limit, inf of a single query.
        p_value: How often a difference as large, of either sign, comes of chance alone, above 0
            and at most 1.
        n: Queries.
        n_better: Those for which the second is better.
        n_worse: Those for which it is worse.
        is_exact: Whether `p_value` is of all flips of signs, not of some that were drawn.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    n_better: int
    n_worse: int
    is_exact: bool

    @property
    def n_equal(self) -> int:
        """Queries for which both are equal."""
        return self.n - self.n_better - self.n_worse

    @property
    def half(self) -> float:
        """Half of the interval's width: what the difference may be off by."""
        return (self.high - self.low) / 2


def compare(
    first: npt.ArrayLike, second: npt.ArrayLike, seed: int = 0, draws: int = DRAWS
) -> Comparison:
    """Compare what two systems give for the same queries.

    The interval is the percentile bootstrap's: from 2.5 to 97.5 in 100 of the mean differences of
    `draws` samples of the queries, drawn with replacement. The p value is that of the paired
    permutation test, in which the sign of each query's difference may as well be the other: the
    share of all flips of signs whose mean is at least as far from 0 as the one found, where at most
    20 queries differ, otherwise (1 + hits) / (1 + draws) of flips that are drawn. If no query
    differs it is 1.

    The result depends on no order: not of the queries, and but for its sign not of the systems.

    Args:
        first: A value for each query, shape (n,), n at least 1.
        second: The other system's, of the same queries in the same order.
        seed: Of all that is drawn.
        draws: How often is drawn, at least 1.

    Raises:
        ValueError: If the shapes differ, there is no query, or a value is not finite.

    >>> compare([0.5, 0.5, 0.5], [0.6, 0.7, 0.8]).p_value
    0.25
    """
    differences = _differences(first, second)
    low, high = _limits(differences, np.random.default_rng([seed, 0]), draws)
    changed = np.sort(np.abs(differences[differences != 0]))
    is_exact = len(changed) <= MOST_EXACT
    total = math.fsum(differences)
    if is_exact:
        p_value = _exact(changed, abs(total))
    else:
        p_value = _drawn(changed, abs(total), np.random.default_rng([seed, 1]), draws)
    n = len(differences)
    n_better, n_worse = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(total / n, low, high, p_value, n, n_better, n_worse, is_exact)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values of several tests, corrected so that all together err as seldom as one.

    Holm's step-down method (1979): the least is multiplied by their number, the next by one less,
    and none becomes lower than one before it.

    >>> [round(p, 6) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = largest
    return corrected


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> Values:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(
            f"two values a query are compared, both of shape (n,); got {a.shape} and {b.shape}"
        )
    if not len(a):
        raise ValueError("at least one query must be compared, got none")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the values of queries must be finite, got nan or inf")
    differences = b - a
    differences[np.abs(differences) <= EQUAL] = 0
    return differences


def _limits(differences: Values, random: np.random.Generator, draws: int) -> tuple[float, float]:
    n = len(differences)
    if n < 2:
        return -math.inf, math.inf
    forth, back = np.sort(differences), np.sort(-differences)
    is_turned = back.tolist() > forth.tolist()
    values = back if is_turned else forth
    means = np.empty(draws)
    for rows in _chunks(draws, n):
        drawn = random.integers(0, n, (rows.stop - rows.start, n))
        means[rows] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return (-high, -low) if is_turned else (low, high)


def _exact(sizes: Values, distance: float) -> float:
    """Return the share of all flips of signs whose sum lies at least as far from 0."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return float((np.abs(sums) >= _about(distance, sizes)).mean())


def _drawn(sizes: Values, distance: float, random: np.random.Generator, draws: int) -> float:
    n = len(sizes)
    least = _about(distance, sizes)
    hits = 0
    for rows in _chunks(draws, n):
        words = random.integers(0, 2**64, (rows.stop - rows.start, -(-n // 64)), np.uint64)
        flipped = np.unpackbits(words.view(np.uint8), axis=1, count=n)
        sums = sizes.sum() - 2 * (flipped @ sizes)
        hits += int((np.abs(sums) >= least).sum())
    return (1 + hits) / (1 + draws)


def _about(distance: float, sizes: Values) -> float:
    """Return a distance less what sums of these sizes may be rounded by: equal ones are hits."""
    return distance - 1e-12 * float(sizes.sum())


def _chunks(draws: int, n: int) -> list[slice]:
    step = max(1, AT_ONCE // n)
    return [slice(start, min(start + step, draws)) for start in range(0, draws, step)]
