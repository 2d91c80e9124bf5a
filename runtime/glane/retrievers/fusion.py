"""Hybrid ranking: two lists of hits become one."""

from __future__ import annotations

from typing import Literal

import numpy as np

from glane.hits import Hits, check_k
from glane.model.scoring import NO_TOKENS_SCORE
from glane.types import Floats, Ids, Mask, Scores

Fusion = Literal["rrf", "relative"]

RRF_RANK = 60
"""What is added to a rank before it is inverted (Cormack, Clarke and Büttcher, SIGIR 2009)."""

JUST_BELOW = 1e-6
"""Deviations between the lowest score of a ranking and a score that stands for none."""


def fuse(
    first: Hits, second: Hits, k: int, method: Fusion = "relative", weight: float = 0.5
) -> Hits:
    """Return the k best documents of two rankings of the same queries.

    `rrf` adds weight / (60 + rank). `relative` brings the scores of each ranking to mean 0 and
    deviation 1 over its own hits, then adds them; a document that one ranking lacks gets that
    ranking's lowest, and so does one whose score stands for none: MaxSim of a document without
    tokens, -10,000, and what is lower or not finite. The first ranking counts with `weight`, the
    second with 1 - `weight`.

    Args:
        first: Shape (n_queries, any).
        second: Shape (n_queries, any).
        k: Documents wanted per query, at least 1.
        method: "relative" uses how much better a score is, "rrf" the ranks alone.
        weight: Share of the first ranking, in [0, 1].

    Returns:
        Shape (n_queries, k), best first; equal scores by lower id.

    Raises:
        TypeError: If `k` is not an integer.
        ValueError: If `k` is below 1, `weight` is outside [0, 1], `method` is unknown, or the
            two have different numbers of queries.

    >>> import numpy as np
    >>> bm25 = Hits(np.array([[4, 7, 9]]), np.array([[9, 5, 1]], np.float32))
    >>> maxsim = Hits(np.array([[7, 4, 9]]), np.array([[30, 20, 19]], np.float32))
    >>> fuse(bm25, maxsim, k=2).ids
    array([[7, 4]])
    """
    k = check_k(k)
    check_fusion(method, weight)
    if len(first.ids) != len(second.ids):
        raise ValueError(f"got {len(first.ids)} rows of hits and {len(second.ids)}")
    scale = _reciprocal_ranks if method == "rrf" else _standardised
    rows = []
    for query in range(len(first.ids)):
        one, other = first.row(query), second.row(query)
        ids = np.union1d(one[0], other[0])
        total = weight * scale(*one, ids) + (1 - weight) * scale(*other, ids)
        rows.append((ids, total.astype(np.float32)))
    return Hits.from_rows(rows, k)


def check_fusion(method: str, weight: float) -> None:
    """Refuse a method that does not exist and a weight outside [0, 1].

    Raises:
        ValueError: If either is wrong.
    """
    if method not in ("rrf", "relative"):
        raise ValueError(f"fusion must be 'rrf' or 'relative', got {method!r}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be between 0 and 1, got {weight}")


def _reciprocal_ranks(ids: Ids, scores: Scores, union: Ids) -> Floats:
    """Return 1 / (60 + rank) for each document of the union, 0 where it is not ranked."""
    values = np.zeros(len(union))
    values[np.searchsorted(union, ids)] = 1 / (RRF_RANK + np.arange(1, len(ids) + 1))
    return values


def _standardised(ids: Ids, scores: Scores, union: Ids) -> Floats:
    """Return each score less the mean, over the deviation; what is not ranked gets the lowest."""
    if len(ids) == 0:
        return np.zeros(len(union))
    exact = scores.astype(np.float64)
    told = _told(exact)
    scaled = np.zeros(len(exact))
    if told.any():
        scaled[told] = (exact[told] - exact[told].mean()) / (exact[told].std() or 1)
    low, high = scaled.min() - JUST_BELOW, scaled.max() + JUST_BELOW
    scaled[~told] = np.where(exact[~told] == np.inf, high, low)
    values = np.full(len(union), scaled.min())
    values[np.searchsorted(union, ids)] = scaled
    return values


def _told(scores: Floats) -> Mask:
    """Return which scores say something; the others are marks, or not finite.

    A single mark of -10,000 would stretch the deviation until the other scores count for nothing.
    """
    finite = np.isfinite(scores)
    told = finite & (scores > NO_TOKENS_SCORE)
    return told if told.any() else finite
