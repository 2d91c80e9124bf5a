"""Lengths of TfIdf's documents: stored with a segment, and bounded until they are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from glane.postings.inverted import contenders
from glane.postings.statistics import FORWARD, Statistics, Weigh, forward
from glane.ragged import join_lengths
from glane.store.columns import Column, Reader, column_of, whole
from glane.store.segments import Columns, Parts, Segment, split
from glane.types import Floats, Ids, Mask, Scores
from glane.vectors import SparseVectors

NORMS = "norms"
"""Name of the array of lengths in a segment."""

BLOCK = 1 << 20
"""Counts whose squares are added at once."""

ROWS_AT_ONCE = 128
"""Documents that are scored at once, and whose lengths are computed ahead after each query."""

SLACK = 1e-6
"""What bounds of lengths leave to rounding."""

ROUNDED = 2.0**-21
"""What bounds of scores leave to rounding for each term: some times that of float32."""

Doubles = npt.NDArray[np.float64]


def idf_of(n_documents: int, frequencies: Ids) -> Doubles:
    """Return ln((1 + n_documents) / (1 + frequency)) + 1 of some terms."""
    idf: Doubles = np.log((1 + n_documents) / (1 + frequencies)) + 1
    return idf


def norms_of(indptr: Ids, weights: Floats) -> Doubles:
    """Return the Euclidean length of each row, 1 for an empty row.

    Added in the order of the row, not of the terms' numbers, which depend on what was deleted.
    """
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    squares = np.bincount(rows, weights**2, len(indptr) - 1)
    squares[squares == 0] = 1
    return np.sqrt(squares)


def weigh(idf: Doubles, scales: Doubles, term: int, rows: Ids, counts: Scores) -> Floats:
    """Return the weights of one term's counts.

    Args:
        idf: Of each term.
        scales: 1 over the length of each row.
        term: The term.
        rows: That hold it.
        counts: In each of these.
    """
    weights: Floats = counts * idf[term] * scales[rows]
    return weights


def own_norms(columns: Columns, n_rows: int) -> Columns:
    """Return the length of each row's count · idf in a segment, as if there were no other."""
    terms, offsets = whole(columns["list_terms"]), whole(columns["list_offsets"])
    idf = np.ones(1 + int(terms.max(initial=-1)))
    idf[terms] = idf_of(n_rows, np.diff(offsets))
    return {NORMS: Column(np.dtype(np.float64), (n_rows,), partial(_norm_blocks, columns, idf))}


def all_norms(parts: Sequence[Segment], idf: Doubles) -> Doubles:
    """Return the lengths of all rows of some segments, read from begin to end."""
    columns = [{name: part.column(name) for name in FORWARD} for part in parts]
    blocks = [block for own in columns for block in _norm_blocks(own, idf)]
    return np.concatenate([np.empty(0), *blocks])


def _norm_blocks(columns: Columns, idf: Doubles) -> Iterator[Doubles]:
    indptr = whole(columns["indptr"])
    indices, values = Reader(column_of(columns["indices"])), Reader(column_of(columns["values"]))
    for rows in _blocks(indptr):
        ends = indptr[rows.start : rows.stop + 1] - indptr[rows.start]
        n = int(ends[-1])
        yield norms_of(ends, values.take(n) * idf[indices.take(n)])


def _blocks(indptr: Ids) -> Iterator[slice]:
    """Yield runs of whole rows with about `BLOCK` entries together."""
    start, n_rows = 0, len(indptr) - 1
    while start < n_rows:
        end = int(np.searchsorted(indptr, indptr[start] + BLOCK, side="right")) - 1
        stop = max(start + 1, min(n_rows, end))
        yield slice(start, stop)
        start = stop


class LengthBounds:
    """Bounds of TfIdf's weights, from how far idf has moved since a segment was made.

    A length computed with the idf of then is off by no more than the ratio of now to then, of the
    segment's terms. Documents that may be among the best are scored exactly from their own rows;
    some further lengths are computed after each query, until all are known.
    """

    def __init__(self, statistics: Statistics) -> None:
        """Compare the segments' own idf with that of all documents."""
        self.parts: Parts = statistics.parts
        self.idf = idf_of(statistics.n_documents, statistics.frequencies)
        self.firsts = join_lengths([part.n_rows for part in self.parts])
        n_rows = int(self.firsts[-1])
        self.norms = np.full(n_rows, np.nan)  # of rows whose length is known
        self.share = np.ones(n_rows, np.float32)
        self.n_known = 0
        least = np.empty(n_rows)
        for part, first in zip(self.parts, self.firsts.tolist(), strict=False):
            rows = slice(first, first + part.n_rows)
            low, high = self._moved(part)
            if low == high == 1:
                self.norms[rows] = least[rows] = part.arrays[NORMS]
            else:
                least[rows] = part.arrays[NORMS] * (low * (1 - SLACK))
                self.share[rows] = low / high * (1 - SLACK)
        self.above = partial(weigh, self.idf, 1 / least)

    def _moved(self, part: Segment) -> tuple[float, float]:
        """Return the lowest and the highest ratio of idf now and when a segment was made."""
        own = idf_of(part.n_rows, np.diff(part.arrays["list_offsets"]))
        ratios = self.idf[part.arrays["list_terms"]] / own
        return float(ratios.min(initial=1)), float(ratios.max(initial=1))

    def candidates(self, scores: Scores, k: int, n_terms: int) -> Ids:
        """Return the rows among which the k best are; see `Bounds`."""
        least = scores * self.share
        sure = least[contenders(least, k)]
        if len(sure) < k:
            return np.flatnonzero(scores > 0)
        reached = np.partition(sure, len(sure) - k)[len(sure) - k]
        return np.flatnonzero(scores >= reached * (1 - ROUNDED * (n_terms + 8)))

    def scores(self, rows: Ids, terms: list[int], weights: list[float]) -> Scores:
        """Return the exact scores of some rows, rising; see `Bounds`."""
        query = _Query(terms, weights, len(self.idf))
        scores = [np.empty(0, np.float32)]
        for (part, own), first in zip(split(self.parts, rows), self.firsts, strict=False):
            for some in np.split(own, range(ROWS_AT_ONCE, len(own), ROWS_AT_ONCE)):
                vectors = forward(part)[some]
                norms = self._measured(vectors, first + some)
                scores.append(query.scores(vectors, self.idf, 1 / norms))
        self._measure_ahead()
        return np.concatenate(scores)

    def settled(self) -> Weigh | None:
        """Return the exact weighting once all lengths are known."""
        return None if self.n_known < len(self.norms) else partial(weigh, self.idf, 1 / self.norms)

    def _measure_ahead(self) -> None:
        start = self.n_known
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(self.norms)))
        missing = rows[np.isnan(self.norms[rows])]
        for (part, own), first in zip(split(self.parts, missing), self.firsts, strict=False):
            self._measured(forward(part)[own], first + own)
        self.n_known = start + len(rows)  # only now: all before it are known, whoever else measures

    def _measured(self, vectors: SparseVectors, rows: Ids) -> Doubles:
        """Return the lengths of rows, whose counts are given."""
        if np.isnan(self.norms[rows]).any():
            self.norms[rows] = norms_of(vectors.indptr, vectors.values * self.idf[vectors.indices])
        return self.norms[rows]


class _Query:
    """A query's terms, to be found among those of documents."""

    def __init__(self, terms: list[int], weights: list[float], n_terms: int) -> None:
        self.weights = np.array(weights, np.float32)
        asked = np.array(terms, np.int64)
        self.order = np.argsort(asked, kind="stable")
        self.terms = asked[self.order]
        self.asked: Mask = np.zeros(n_terms, np.bool_)
        self.asked[asked[asked < n_terms]] = True

    def scores(self, vectors: SparseVectors, idf: Doubles, scales: Doubles) -> Scores:
        """Return the score of each document: its weights are added in the order of the query."""
        entries = np.flatnonzero(self.asked[vectors.indices])
        terms = vectors.indices[entries]
        low = np.searchsorted(self.terms, terms)
        again = np.searchsorted(self.terms, terms, side="right") - low  # a query may repeat a term
        starts = np.repeat(low - join_lengths(again)[:-1], again)
        places = self.order[starts + np.arange(len(starts))]
        owners = np.repeat(np.searchsorted(vectors.indptr, entries, side="right") - 1, again)
        weights = np.repeat(vectors.values[entries] * idf[terms], again) * scales[owners]
        added = weights.astype(np.float32) * self.weights[places]
        order = np.argsort(places, kind="stable")
        scores = np.zeros(len(vectors), np.float32)
        np.add.at(scores, owners[order], added[order])
        return scores
