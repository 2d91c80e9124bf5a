"""Which weights of a training are kept: what the held-out queries say, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glane.evaluation.paired import Comparison, compare

SHARES = (0.25, 0.5, 0.75)
"""Shares of the start's weights that are tried, besides 0, when a training has ended."""

CROWDED = 1.25
"""How many times the terms of the trained weights those between them and the start may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What some weights gave for the held-out queries.

    Attributes:
        step: Optimizer steps after which the trained weights were as they are in it.
        start_share: Share of the start's weights in what was measured, in [0, 1]; 1 is the start.
        values: NDCG@10 of each query, in [0, 1].
        query_terms: Terms that a query has on average, of a model with terms; else None.
        document_terms: The same of a document.
        is_ready: Whether such weights may be kept: not before the regularisers have risen.
    """

    step: int
    start_share: float
    values: list[float]
    query_terms: float | None = None
    document_terms: float | None = None
    is_ready: bool = True

    @property
    def mean(self) -> float:
        """Mean over the queries."""
        return float(np.mean(self.values))


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept.

    Attributes:
        look: What it gave.
        against_start: By how much it is better than the start, with the 95 % interval over the
            queries; None where it is the start, or nothing was held out.
        start_wins: By how much the start was better than the best that was trained, where that is
            why it was kept; else None.
    """

    look: Look
    against_start: Comparison | None = None
    start_wins: Comparison | None = None


def best_trained(looks: Sequence[Look], max_terms: float | None = None) -> Look | None:
    """Return the last look that is no worse than the best one; None where there is none.

    The highest of several means is high by chance too, and the last weights were learned with the
    least noise. So a later look counts as no worse down to one standard error of the difference.

    Args:
        looks: Of trained weights.
        max_terms: Terms that a document may have on average, where any look has so few; else the
            one with the fewest is returned.
    """
    if max_terms is not None and looks:
        few = [look for look in looks if (look.document_terms or 0) <= max_terms]
        if not few:
            return min(looks, key=lambda look: look.document_terms or 0)
        looks = few
    highest = max(looks, key=lambda look: look.mean, default=None)
    if highest is None:
        return None
    return max((look for look in looks if is_as_good(look, highest)), key=lambda look: look.step)


def is_as_good(look: Look, best: Look) -> bool:
    """Return whether a look's mean is below another's by one standard error at most, paired."""
    below = np.subtract(best.values, look.values)
    error = below.std(ddof=1) / np.sqrt(len(below)) if len(below) > 1 else 0.0
    return bool(below.mean() <= error)


def choose(
    start: Look, trained: Look, between: Sequence[Look], max_terms: float | None = None
) -> Kept:
    """Return what is kept: the best of the weights between trained ones and the start's, mostly.

    What is nearer to the start ranks other texts as well as it did, which held-out queries of one
    collection cannot tell of. So the trained weights alone are kept only where they are better by
    more than the error, half of the paired 95 % interval over the queries, or where no weights
    between have at least half of their gain; of models with terms, whose start seldom ranks, where
    they are as good. The start itself is put back where it is better than what was found by more
    than the error: a few queries alone show little, and a training that is no worse on them has
    learned what its examples say. Of models with terms, weights between are left out where they
    have more than `CROWDED` times the trained ones' terms.

    Args:
        start: What the start gave.
        trained: What the best of the trained weights gave.
        between: The same mixed with the start's, `start_share` between 0 and 1.
        max_terms: Terms that a document may have on average; the start too is not put back where
            it has more.
    """
    limit = CROWDED * (trained.document_terms or 0)
    if max_terms is not None:
        limit = min(limit, max(max_terms, trained.document_terms or 0))
    least = min(trained.mean, (start.mean + trained.mean) / 2)
    able = [look for look in between if look.mean >= least and (look.document_terms or 0) <= limit]
    rivals = able if trained.document_terms is None else [trained, *able]
    found = max(rivals, key=lambda look: (look.mean, -look.start_share), default=trained)
    behind = compare(found.values, trained.values)
    if behind.difference > behind.half:
        found = trained
    lost = compare(found.values, start.values)
    is_sparse = max_terms is None or (start.document_terms or 0) <= max_terms
    if is_sparse and lost.difference > lost.half:
        return Kept(start, start_wins=lost)
    return Kept(found, against_start=compare(start.values, found.values))
