"""Chooses among settings by what they give for each query, and tells what the choice is worth.

A choice looks better on the queries that made it than it is. Its worth is therefore measured on
queries that had no part in it: those of one fold, with what the other folds choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glane.types import Ids

Values = npt.NDArray[np.float64]

N_FOLDS = 5

NORMAL = 1.959964
"""97.5 % of a normal distribution lie below so many standard deviations."""


class Interval(NamedTuple):
    """A mean and its 95 % interval.

    Attributes:
        mean: Over the queries.
        low: Its lower limit, -inf of a single query.
        high: Its upper limit.
    """

    mean: float
    low: float
    high: float


class Choice(NamedTuple):
    """What was chosen, and what it is worth.

    Attributes:
        setting: Its row.
        gain: Over the first setting, of queries that had no part in the choice.
    """

    setting: int
    gain: Interval

    @property
    def wins(self) -> bool:
        """Whether it is shown to be better than the first."""
        return self.setting != 0 and self.gain.low > 0


def choose(values: Values, changes: npt.NDArray[np.int64], folds: Ids) -> Choice:
    """Return the setting that all queries choose, and its gain by nested folds.

    Args:
        values: What each setting gives for each query, shape (n_settings, n_queries); the first
            setting is the default.
        changes: In how many points each setting differs from the default, shape (n_settings,).
        folds: Of each query, from `folds_of`.
    """
    gains = np.empty(values.shape[1])
    for fold in np.unique(folds):
        out = folds == fold
        chosen = plainest(values[:, ~out], changes)
        gains[out] = values[chosen, out] - values[0, out]
    return Choice(plainest(values, changes), interval(gains))


def plainest(values: Values, changes: npt.NDArray[np.int64]) -> int:
    """Return, of the settings that may well be the best, the one that changes the fewest points.

    Those may well be that are below the best by no more than one standard error of the paired
    difference (Breiman and others, 1984); of several the best, of equal ones the first.

    >>> plainest(np.array([[0.1, 0.9, 0.5], [0.2, 0.8, 0.6], [0.0, 0.0, 0.1]]), np.array([0, 1, 2]))
    0
    """
    means = values.mean(axis=1)
    losses = values[int(means.argmax())] - values
    errors = losses.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
    close = np.flatnonzero(losses.mean(axis=1) <= errors)
    order = np.lexsort((close, -means[close], changes[close]))
    return int(close[order[0]])


def folds_of(texts: Sequence[str], n_folds: int = N_FOLDS) -> Ids:
    """Return the fold of each query, from 0; equal texts are in one fold.

    Texts are dealt out in the order of their hashes, so that the same queries always lie alike.

    Raises:
        ValueError: If there are fewer different texts than two a fold.
    """
    distinct = sorted(set(texts), key=_hash)
    if len(distinct) < 2 * n_folds:
        raise ValueError(
            f"{2 * n_folds} different queries with a relevant document are needed at least, got "
            f"{len(distinct)}"
        )
    places = {text: place % n_folds for place, text in enumerate(distinct)}
    return np.array([places[text] for text in texts], np.int64)


def interval(values: npt.NDArray[np.float64]) -> Interval:
    """Return the mean of at least one value, give or take Student's t times its standard error."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = t_quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, by Cornish and Fisher's expansion.

    >>> round(t_quantile(9), 2), round(t_quantile(299), 3)
    (2.26, 1.968)
    """
    if freedom < 1:
        return math.inf
    z = NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
