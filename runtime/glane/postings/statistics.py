"""What a weighting of counts may look at, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from glane.store.segments import Columns, Parts, Segment
from glane.types import Floats, Ids, Scores
from glane.vectors import SparseVectors

FORWARD = ("indptr", "indices", "values")


def row_sums(counts: SparseVectors) -> npt.NDArray[np.float64]:
    """Return the sum of the counts of each row."""
    rows = np.repeat(np.arange(len(counts)), np.diff(counts.indptr))
    sums = np.bincount(rows, counts.values.astype(np.float64), len(counts))
    return sums.astype(np.float64, copy=False)


def forward(part: Segment) -> SparseVectors:
    """Return the rows of a segment of postings, deleted ones included."""
    return SparseVectors(*(part.arrays[name] for name in FORWARD))


def exact_sum(values: Floats) -> Fraction:
    """Return the sum of finite numbers without rounding, whatever their order.

    >>> exact_sum(np.array([1e16, 0.5, -1e16]))
    Fraction(1, 2)
    """
    mantissas, exponents = np.frexp(values)
    whole = np.ldexp(mantissas, 53).astype(np.int64)  # of float64, each below 2 ** 53
    total = Fraction(0)
    for exponent in np.unique(exponents).tolist():
        own = whole[exponents == exponent]
        high, low = int((own >> 26).sum()), int((own & ((1 << 26) - 1)).sum())
        total += Fraction((high << 26) + low) * Fraction(2) ** (exponent - 53)
    return total


@dataclass(frozen=True, slots=True)
class Totals:
    """Statistics of a collection of which some documents lie here, and some elsewhere.

    Attributes:
        n_documents: Documents that are left, empty ones included.
        length: Sum of their lengths.
        frequencies: int64, documents left that hold each term, by the terms' numbers here.
    """

    n_documents: int
    length: Fraction
    frequencies: Ids


class Statistics:
    """What a weighting may depend on, exact for the documents that are left; derived at first use.

    Attributes:
        parts: The segments that hold them, or those of them that lie here.
        totals: Of the collection, where some lie elsewhere; else None.
        n_documents: Documents that are left, empty ones included.
    """

    def __init__(self, parts: Parts, totals: Totals | None = None) -> None:
        """Look at some segments of postings."""
        self.parts = parts
        self.totals = totals
        own = sum(part.n_rows - part.n_deleted for part in parts)
        self.n_documents = own if totals is None else totals.n_documents

    @cached_property
    def lengths(self) -> npt.NDArray[np.float64]:
        """Shape (n_rows,), sum of the counts of each stored row, deleted or not."""
        lengths = [part.arrays["lengths"] for part in self.parts]
        return lengths[0] if len(lengths) == 1 else np.concatenate([np.empty(0), *lengths])

    @cached_property
    def mean_length(self) -> float:
        """Mean length of the documents that are left; 0 where there is none."""
        return float(self.length) / self.n_documents if self.n_documents else 0.0

    @cached_property
    def length(self) -> Fraction:
        """Sum of the lengths of the documents that are left."""
        if self.totals is not None:
            return self.totals.length
        total = Fraction(0)
        for part in self.parts:
            own = part.arrays["lengths"][part.kept]
            counted = bool((own == np.floor(own)).all())  # boosts make fractions
            total += Fraction(float(own.sum())) if counted else exact_sum(own)
        return total

    @cached_property
    def frequencies(self) -> Ids:
        """Shape (n_terms,), documents left that hold each term, for terms up to the highest."""
        if self.totals is not None:
            return self.totals.frequencies
        tops = [int(part.arrays["list_terms"][-1:].max(initial=-1)) for part in self.parts]
        frequencies = np.zeros(1 + max(tops, default=-1), np.int64)
        for part in self.parts:
            frequencies[part.arrays["list_terms"]] += np.diff(part.arrays["list_offsets"])
            if part.alive is not None:
                dead = forward(part)[np.flatnonzero(~part.alive)].indices
                frequencies -= np.bincount(dead, minlength=len(frequencies))
        return frequencies

    def frequency(self, term: int, n_here: int) -> int:
        """Return how many documents that are left hold a term.

        Args:
            term: Its number.
            n_here: How many of those that lie here do.
        """
        return n_here if self.totals is None else int(self.totals.frequencies[term])

    def holding(self, terms: npt.NDArray[np.integer[Any]]) -> Ids:
        """Return how many documents that are left hold each of some terms.

        As long as none was deleted, only these terms are looked up.
        """
        held = np.zeros(len(terms), np.int64)
        deleted = any(part.alive is not None for part in self.parts)
        if "frequencies" in self.__dict__ or deleted or self.totals is not None:
            known = terms < len(self.frequencies)
            held[known] = self.frequencies[terms[known]]
            return held
        for part in self.parts:
            own, offsets = part.arrays["list_terms"], part.arrays["list_offsets"]
            if not len(own):
                continue
            places = np.searchsorted(own, terms)
            found = np.flatnonzero(own.take(places, mode="clip") == terms)
            held[found] += offsets[places[found] + 1] - offsets[places[found]]
        return held

    @property
    def vectors(self) -> list[SparseVectors]:
        """The stored rows, in parts; some may be deleted."""
        return [forward(part) for part in self.parts]


Weigh = Callable[[int, Ids, Scores], Floats]
"""From a term, the documents left that hold it, as rows, and its counts there, to its weights, at
least 0."""


class Bounds(Protocol):
    """A weighting that is dear to compute, and bounds of it that are cheap."""

    def above(self, term: int, rows: Ids, counts: Scores) -> Floats:
        """Weigh, as a `Weigh` does, not below the exact weight."""
        ...

    def candidates(self, scores: Scores, k: int, n_terms: int) -> Ids:
        """Return the rows among which the k best are, rising.

        Args:
            scores: Shape (n_rows,), sums of weights from `above`, at least 0.
            k: At least 1.
            n_terms: How many weights were added at most.
        """
        ...

    def scores(self, rows: Ids, terms: list[int], weights: list[float]) -> Scores:
        """Return the exact scores of some rows with the terms and weights of a query."""
        ...

    def settled(self) -> Weigh | None:
        """Return the exact weighting once it is computed for all rows."""
        ...


class WeighedTerm(NamedTuple):
    """Weights of the documents that hold one term.

    Attributes:
        rows: int32, those that hold it; None where `weights` has one for each row of the
            collection.
        weights: float32.
        positive: Whether all are above 0.
    """

    rows: npt.NDArray[np.int32] | None
    weights: Scores
    positive: bool


class Weights:
    """A way to weigh, and the terms that are weighed already.

    Attributes:
        weigh: The function.
        bounds: Where it is not exact, what is.
        terms: By number.
    """

    def __init__(self, weighted: Weigh | Bounds) -> None:
        """Take what a weighting gives."""
        self.bounds: Bounds | None = None if callable(weighted) else weighted
        self.weigh: Weigh = weighted if callable(weighted) else weighted.above
        self.terms: dict[int, WeighedTerm] = {}
        self.n_bytes = 0

    def keep(self, term: int, made: WeighedTerm, most: int) -> None:
        """Remember a term; where that takes more bytes than `most`, all others are forgotten."""
        # Threads may count a little wrong here; the bounds need no more.
        n_bytes = made.weights.nbytes + (0 if made.rows is None else made.rows.nbytes)
        if self.n_bytes + n_bytes > most:
            self.terms.clear()
            self.n_bytes = 0
        self.n_bytes += n_bytes
        self.terms[term] = made


Weighting = Callable[[Statistics], Weigh | Bounds]

Derive = Callable[[Columns, int], Columns]
"""From a segment's arrays and its number of rows, to further arrays of one entry a row."""


def derive_nothing(columns: Columns, n_rows: int) -> Columns:
    """Return no further arrays."""
    return {}


def weigh_as_it_is(statistics: Statistics) -> Weigh:
    """Weigh nothing anew: a model's weights hold whatever a collection would add."""
    return lambda term, rows, weights: weights
