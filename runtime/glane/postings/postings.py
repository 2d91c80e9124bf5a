"""Counts of terms under change: documents come and go, and scores are those of what remains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from glane.hits import Hits, check_k
from glane.postings.inverted import InvertedLists, check_counts, check_terms, contenders
from glane.postings.joining import LISTS, join_lists
from glane.ragged import join_lengths
from glane.store.columns import Column, column_of, release
from glane.store.segments import (
    Arrays,
    Columns,
    Parts,
    Segment,
    Segments,
    join_ragged,
    join_rows,
    split,
)
from glane.threads import Guard
from glane.types import MOST, Floats, Ids, Scores, unshared
from glane.vectors import SparseVectors

CACHE_BYTES = 1 << 27
"""Weights kept between searches; beyond it they are forgotten and made anew."""

TOUCHED_BYTES = 1 << 25
"""Mapped lists read before their memory is given back: the file's pages stay the system's."""

AROUND_BYTES = 1 << 21
"""What a system maps around a stretch that is read: Linux up to a large page of its file cache."""

DENSE_SHARE = 8
"""A term in more than one of so many documents is added as a dense array, which is faster."""

FORWARD = ("indptr", "indices", "values")


class Statistics:
    """What a weighting may depend on, exact for the documents that are left; derived at first use.

    Attributes:
        n_documents: Documents that are left, empty ones included.
    """

    def __init__(self, parts: Parts) -> None:
        """Look at some segments of postings."""
        self._parts = parts
        self.n_documents = sum(part.n_rows - part.n_deleted for part in parts)

    @cached_property
    def lengths(self) -> npt.NDArray[np.float64]:
        """Shape (n_rows,), sum of the counts of each stored row, deleted or not."""
        lengths = [part.arrays["lengths"] for part in self._parts]
        return lengths[0] if len(lengths) == 1 else np.concatenate([np.empty(0), *lengths])

    @cached_property
    def mean_length(self) -> float:
        """Mean length of the documents that are left; 0 where there is none."""
        totals = [float(part.arrays["lengths"][part.kept].sum()) for part in self._parts]
        return sum(totals) / self.n_documents if self.n_documents else 0.0

    @cached_property
    def frequencies(self) -> Ids:
        """Shape (n_terms,), documents left that hold each term, for terms up to the highest."""
        tops = [int(part.arrays["list_terms"][-1:].max(initial=-1)) for part in self._parts]
        frequencies = np.zeros(1 + max(tops, default=-1), np.int64)
        for part in self._parts:
            frequencies[part.arrays["list_terms"]] += np.diff(part.arrays["list_offsets"])
            if part.alive is not None:
                dead = forward(part)[np.flatnonzero(~part.alive)].indices
                frequencies -= np.bincount(dead, minlength=len(frequencies))
        return frequencies

    @property
    def vectors(self) -> list[SparseVectors]:
        """The stored rows, in parts; some may be deleted."""
        return [forward(part) for part in self._parts]


Weigh = Callable[[int, Ids, Scores], Floats]
"""From a term, the documents left that hold it, as rows, and its counts there, to its weights, at
least 0."""

Weighting = Callable[[Statistics], Weigh]


def weigh_as_it_is(statistics: Statistics) -> Weigh:
    """Weigh nothing anew: a model's weights hold whatever a collection would add."""
    return lambda term, rows, weights: weights


class _Term(NamedTuple):
    rows: Ids | None  # none where `weights` has one for each row of the collection
    weights: Scores
    positive: bool


class Postings:
    """An exact inverted index over counts, weighted at the time of searching.

    Counts are stored, weights are derived term by term at first use: after any sequence of `add`
    and `delete` the scores are, bit for bit, those of an index freshly built of what remains.
    Safe to call from many threads.

    Attributes:
        rows: Where the counts are stored, by document and by term.
    """

    def __init__(
        self, weighting: Weighting, beside: Sequence[str] = (), most: float = MOST
    ) -> None:
        """Make an empty index.

        Args:
            weighting: Called after each change; gives the function that weighs a term's counts.
            beside: Names of further arrays, which are stored with one row for each posting.
            most: Largest count or weight.
        """
        self._weighting = weighting
        self._lock = Guard()
        self._beside = tuple(beside)
        self._most = most
        self.rows = Segments(partial(_join, beside=self._beside))
        self._snapshot: _Snapshot | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, counts: SparseVectors, beside: Arrays | None = None) -> Ids:
        """Store documents.

        Args:
            counts: Above 0, shape (n, n_terms), each term once in a row.
            beside: Further arrays, one row for each entry of `counts.indices`.

        Returns:
            Their numbers, int64, shape (n,), in order.

        Raises:
            TypeError: If `counts` are not `SparseVectors`.
            ValueError: If offsets fall, a term appears twice in a row or is below 0, or a count is
                not above 0, not finite or too large.
        """
        check_counts(counts, "vectors", self._most)
        forward = (counts.indptr, counts.indices, counts.values)
        arrays: Arrays = {
            **dict(zip(FORWARD, forward, strict=True)),
            "lengths": _lengths(counts),
            **_named(InvertedLists.invert(counts)),
            **(beside or {}),
        }
        return self.rows.add(unshared(arrays, *forward), len(counts))

    def delete(self, ids: Ids) -> None:
        """Forget documents; nothing is deleted where one is unknown.

        Raises:
            ValueError: If a number is not stored, or appears twice.
        """
        self.rows.delete(ids)

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k documents of highest sum over shared terms of query value times weight.

        Args:
            queries: Shape (n_queries, n_terms); terms are added in their order in the row.
            k: At least 1; a document without a term of the query is no hit.

        Raises:
            TypeError: If `k` is not an integer, or `queries` are not `SparseVectors`.
            ValueError: If `k` is below 1, or the queries are broken.
        """
        k = check_k(k)
        check_terms(queries, "queries", self._most)
        return self._now().search(queries, k)

    def statistics(self) -> Statistics:
        """Return what the weighting last saw, brought up to date."""
        return self._now().statistics

    def n_terms(self) -> int:
        """Return how many terms all documents that are left have together."""
        return int(self.statistics().frequencies.sum())

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        return {"": self.rows}

    def snapshot(self) -> Self:
        """Return an equal index; changes of one leave the other alone, and nothing is copied."""
        made = copy(self)
        made.rows = self.rows.snapshot()
        return made

    def renumber(self, used: Ids) -> None:
        """Give terms new numbers, 0 for the first of those that are used, and so on.

        Args:
            used: Numbers of the terms that some document has which is left, rising.
        """
        parts = self.rows.parts
        if not parts:
            return
        top = max(int(part.whole("list_terms")[-1:].max(initial=-1)) for part in parts)
        ranks = np.searchsorted(used, np.arange(1 + top), side="right") - 1
        join = partial(_join, beside=self._beside, renumber=ranks.astype(np.int32))
        renumbered = Segments(join).joined(parts)
        self.rows.fill(renumbered, self.rows.next_id)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_snapshot": None}

    def _now(self) -> _Snapshot:
        """Return the index as it is now; later changes leave it alone."""
        with self._lock:
            parts = self.rows.parts
            if self._snapshot is None or self._snapshot.parts is not parts:
                self._snapshot = _Snapshot(parts, self._weighting)
            return self._snapshot


class _Snapshot:
    """The index at one moment: nothing in it changes but the cache of weights."""

    def __init__(self, parts: Parts, weighting: Weighting) -> None:
        self.parts = parts
        self.firsts = join_lengths([part.n_rows for part in parts])
        self.n_rows = int(self.firsts[-1])
        self.statistics = Statistics(parts)
        self.weigh = weighting(self.statistics)
        self.lists = [_lists(part) for part in parts]
        self.cache: dict[int, _Term] = {}
        self.cached_bytes = 0
        self.touched_bytes = 0

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k best documents for each query."""
        scores = np.empty(self.n_rows, np.float32)
        rows = []
        for query in range(len(queries)):
            place = slice(queries.indptr[query], queries.indptr[query + 1])
            terms, weights = queries.indices[place].tolist(), queries.values[place].tolist()
            found = self._score(terms, weights, k, scores)
            rows.append((self._ids(found), scores[found]))
        return Hits.from_rows(rows, k)

    def _ids(self, rows: Ids) -> Ids:
        """Return the numbers of rows, given in rising order."""
        chosen = split(self.parts, rows)
        return np.concatenate([np.empty(0, np.int64), *(part.ids[own] for part, own in chosen)])

    def _score(self, terms: list[int], weights: list[float], k: int, scores: Scores) -> Ids:
        """Fill `scores` and return the rows among which the k best are, rising."""
        scores.fill(0)
        positive = True
        for term, weight in zip(terms, weights, strict=True):
            rows, added, above_zero = self._term(term)
            positive &= above_zero and weight > 0
            if weight != 1:
                added = added * np.float32(weight)
            if rows is None:
                scores += added
            else:
                np.add.at(scores, rows, added)
        if positive:
            return contenders(scores, k)
        return np.unique(np.concatenate([self._postings(term)[0] for term in terms]))

    def _postings(self, term: int) -> tuple[Ids, Scores]:
        """Return rows (int64, as indexing is fastest with) and values of one term, deleted left."""
        rows, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for part, lists, first in zip(self.parts, self.lists, self.firsts[:-1], strict=True):
            own, found = lists.of(term)
            self.touched_bytes += own.nbytes + found.nbytes + 2 * AROUND_BYTES
            if part.alive is not None:
                left = part.alive[own]
                own, found = own[left], found[left]
            rows.append(own + first)
            values.append(found)
        return np.concatenate(rows), np.concatenate(values)

    def _term(self, term: int) -> _Term:
        known = self.cache.get(term)
        if known is not None:
            return known
        rows, counts = self._postings(term)
        weights = self.weigh(term, rows, counts).astype(np.float32) if len(rows) else counts
        positive = bool(weights.min(initial=1) > 0)
        made = _Term(rows, weights, positive)
        if len(rows) * DENSE_SHARE > self.n_rows:
            dense = np.zeros(self.n_rows, np.float32)
            dense[rows] = weights
            made = _Term(None, dense, positive)
        # Threads may count a little wrong here; the bounds need no more.
        n_bytes = made.weights.nbytes + (0 if made.rows is None else made.rows.nbytes)
        if self.cached_bytes + n_bytes > CACHE_BYTES:
            self.cache.clear()
            self.cached_bytes = 0
        self.cached_bytes += n_bytes
        self.cache[term] = made
        if self.touched_bytes > TOUCHED_BYTES:
            release([array for part in self.parts for array in part.arrays.values()])
            self.touched_bytes = 0
        return made


def forward(part: Segment) -> SparseVectors:
    """Return the rows of a segment of postings, deleted ones included."""
    return SparseVectors(*(part.arrays[name] for name in FORWARD))


def _lists(part: Segment) -> InvertedLists:
    return InvertedLists(*(part.arrays[name] for name in LISTS))


def _named(lists: InvertedLists) -> Arrays:
    return dict(zip(LISTS, (lists.terms, lists.offsets, lists.rows, lists.values), strict=True))


def _lengths(counts: SparseVectors) -> npt.NDArray[np.float64]:
    rows = np.repeat(np.arange(len(counts)), np.diff(counts.indptr))
    lengths = np.bincount(rows, counts.values.astype(np.float64), len(counts))
    return lengths.astype(np.float64, copy=False)


def _join(
    parts: Sequence[Segment], beside: Sequence[str], renumber: npt.NDArray[np.int32] | None = None
) -> Columns:
    columns = dict(join_ragged(parts, *FORWARD, *beside))
    if renumber is not None:
        old = column_of(columns["indices"])
        columns["indices"] = Column(old.dtype, old.shape, lambda: map(renumber.take, old.blocks()))
    return {**columns, **join_rows(parts, "lengths"), **join_lists(parts, renumber)}
