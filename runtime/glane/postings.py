"""Counts of terms under change: documents come and go, and scores are those of what remains."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glane.hits import Hits, check_k
from glane.inverted import InvertedLists, contenders
from glane.types import Floats, Ids, Mask, Scores
from glane.vectors import SparseVectors

CACHE_BYTES = 1 << 27
"""Weights kept between searches; beyond it they are forgotten and made anew."""

DENSE_SHARE = 8
"""A term in more than one of so many documents is added as a dense array, which is faster."""


NO_VECTORS = SparseVectors.concatenate([])


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a weighting may depend on, exact for the documents that are left.

    Attributes:
        n_documents: Documents that are left, empty ones included.
        mean_length: Mean of their lengths; 0 where there is none.
        lengths: float64, shape (n_rows,), sum of the counts of each stored row.
        frequencies: int64, shape (n_terms,), documents left that hold each term.
        vectors: The stored rows themselves; some may be deleted.
    """

    n_documents: int
    mean_length: float
    lengths: npt.NDArray[np.float64]
    frequencies: Ids
    vectors: SparseVectors


Weigh = Callable[[int, Ids, Scores], Floats]
"""From a term, the rows that hold it and its counts there, to its weights, at least 0."""

Weighting = Callable[[Statistics], Weigh]


class _Term(NamedTuple):
    rows: Ids | None  # none where `weights` has one for each row of the collection
    weights: Scores
    positive: bool


class Postings:
    """An exact inverted index over counts, weighted at the time of searching.

    Counts are stored, weights are derived term by term at first use: after any sequence of `add`
    and `delete` the scores are, bit for bit, those of an index freshly built of what remains.
    Safe to call from many threads.
    """

    def __init__(self, weighting: Weighting) -> None:
        """Make an empty index.

        Args:
            weighting: Called after each change; gives the function that weighs a term's counts.
        """
        self._weighting = weighting
        self._lock = threading.Lock()
        self._parts: list[
            SparseVectors
        ] = []  # rows by document; the first `_lists.n_rows` are listed
        self._ids = np.empty(0, np.int64)
        self._alive = np.empty(0, np.bool_)
        self._new_ids: list[Ids] = []
        self._lists = InvertedLists.invert(NO_VECTORS)
        self._n_documents = 0
        self._next_id = 0
        self._snapshot: _Snapshot | None = None

    def __len__(self) -> int:
        return self._n_documents

    @property
    def next_id(self) -> int:
        """The number of the next document; numbers are never given twice."""
        return self._next_id

    def add(self, counts: SparseVectors) -> Ids:
        """Store documents.

        Args:
            counts: Above 0, shape (n, n_terms), each term once in a row.

        Returns:
            Their numbers, int64, shape (n,), in order.
        """
        with self._lock:
            ids = np.arange(self._next_id, self._next_id + len(counts))
            self._append(counts, ids)
            self._next_id += len(ids)
        return ids

    def delete(self, ids: Ids) -> None:
        """Forget documents; nothing is deleted where one is unknown.

        Raises:
            ValueError: If a number is not stored, or stands twice.
        """
        wanted = np.asarray(ids, np.int64).ravel()
        with self._lock:
            self._join_ids()
            rows = np.searchsorted(self._ids, wanted)
            known = rows < len(self._ids)
            known[known] = self._ids[rows[known]] == wanted[known]
            known[known] &= self._alive[rows[known]]
            if not known.all():
                raise ValueError(f"unknown ids: {wanted[~known].tolist()}")
            if len(np.unique(wanted)) < len(wanted):
                raise ValueError(f"ids must differ, got {wanted.tolist()}")
            self._alive[rows] = False
            self._n_documents -= len(rows)
            self._snapshot = None

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k documents of highest sum over shared terms of query value times weight.

        Args:
            queries: Shape (n_queries, n_terms); terms are added in their order in the row.
            k: At least 1; a document without a term of the query is no hit.
        """
        check_k(k)
        return self._now().search(queries, k)

    def statistics(self) -> Statistics:
        """Return what the weighting last saw, brought up to date."""
        return self._now().statistics

    def remaining(self) -> tuple[Ids, SparseVectors]:
        """Return numbers and counts of the documents that are left."""
        with self._lock:
            self._compact()
            return self._ids, self._parts[0]

    def restore(self, ids: Ids, counts: SparseVectors, next_id: int) -> None:
        """Fill an empty index with what `remaining` gave."""
        with self._lock:
            self._append(counts, np.asarray(ids, np.int64))
            self._next_id = next_id

    def _now(self) -> _Snapshot:
        """Return the index as it is now; later changes leave it alone."""
        with self._lock:
            if self._snapshot is None:
                self._list_new()
                vectors = self._parts[0]
                alive = None if self._alive.all() else self._alive.copy()
                statistics = _count(vectors, alive, self._lists)
                weigh = self._weighting(statistics)
                self._snapshot = _Snapshot(self._ids, alive, self._lists, statistics, weigh)
            return self._snapshot

    def _append(self, counts: SparseVectors, ids: Ids) -> None:
        self._parts.append(counts)
        self._new_ids.append(ids)
        self._n_documents += len(ids)
        self._snapshot = None

    def _join_ids(self) -> None:
        if self._new_ids:
            self._ids = np.concatenate([self._ids, *self._new_ids])
            new = np.ones(len(self._ids) - len(self._alive), np.bool_)
            self._alive = np.concatenate([self._alive, new])
            self._new_ids = []

    def _list_new(self) -> None:
        """Enter new documents into the lists; begin anew where half of all rows are deleted."""
        self._join_ids()
        if 2 * self._n_documents < len(self._ids):
            self._compact()
        vectors = _join(self._parts)
        if self._lists.n_rows < len(vectors):
            self._lists = self._lists.extend(vectors[self._lists.n_rows :])
        self._parts = [vectors]

    def _compact(self) -> None:
        """Drop the deleted rows; the lists, if they held any, are made anew when searching."""
        self._join_ids()
        vectors = _join(self._parts)
        if not self._alive.all():
            vectors = vectors[np.flatnonzero(self._alive)]
            self._ids = self._ids[self._alive]
            self._alive = np.ones(len(self._ids), np.bool_)
            self._lists = InvertedLists.invert(NO_VECTORS)
            self._snapshot = None
        self._parts = [vectors]


class _Snapshot:
    """The index at one moment: nothing in it changes but the cache of weights."""

    def __init__(
        self,
        ids: Ids,
        alive: Mask | None,
        lists: InvertedLists,
        statistics: Statistics,
        weigh: Weigh,
    ) -> None:
        self.ids = ids
        self.alive = alive
        self.dead = None if alive is None else np.flatnonzero(~alive)
        self.lists = lists
        self.statistics = statistics
        self.weigh = weigh
        self.cache: dict[int, _Term] = {}
        self.cached_bytes = 0

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k best documents for each query."""
        scores = np.empty(self.lists.n_rows, np.float32)
        rows = []
        for query in range(len(queries)):
            place = slice(queries.indptr[query], queries.indptr[query + 1])
            terms, weights = queries.indices[place].tolist(), queries.values[place].tolist()
            found = self._score(terms, weights, k, scores)
            rows.append((self.ids[found], scores[found]))
        return Hits.from_rows(rows, k)

    def _score(self, terms: list[int], weights: list[float], k: int, scores: Scores) -> Ids:
        """Fill `scores` and return the rows among which the k best are."""
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
            if self.dead is not None:
                scores[self.dead] = 0
            return contenders(scores, k)
        found = np.unique(np.concatenate([self.lists.of(term)[0] for term in terms]))
        return found if self.alive is None else found[self.alive[found]]

    def _term(self, term: int) -> _Term:
        known = self.cache.get(term)
        if known is not None:
            return known
        rows, counts = self.lists.of(term)
        weights = self.weigh(term, rows, counts).astype(np.float32) if len(rows) else counts
        positive = bool(weights.min(initial=1) > 0)
        made = _Term(rows, weights, positive)
        if len(rows) * DENSE_SHARE > self.lists.n_rows:
            dense = np.zeros(self.lists.n_rows, np.float32)
            dense[rows] = weights
            made = _Term(None, dense, positive)
        # Threads may count a little wrong here; the bound needs no more.
        self.cached_bytes += made.weights.nbytes + (0 if made.rows is None else made.rows.nbytes)
        if self.cached_bytes > CACHE_BYTES:
            self.cache.clear()
            self.cached_bytes = made.weights.nbytes
        self.cache[term] = made
        return made


def _join(parts: list[SparseVectors]) -> SparseVectors:
    """Return the rows of all parts; one part as it is, so that a mapped file stays mapped."""
    return parts[0] if len(parts) == 1 else SparseVectors.concatenate(parts)


def _count(vectors: SparseVectors, alive: Mask | None, lists: InvertedLists) -> Statistics:
    rows = np.repeat(np.arange(len(vectors)), np.diff(vectors.indptr))
    values = vectors.values.astype(np.float64)
    lengths = np.bincount(rows, values, len(vectors)).astype(np.float64, copy=False)
    frequencies = lists.lengths(lists.n_terms)
    left = lengths
    if alive is not None:
        dead = vectors[np.flatnonzero(~alive)].indices
        frequencies -= np.bincount(dead, minlength=lists.n_terms)
        left = lengths[alive]
    mean_length = float(left.sum()) / len(left) if len(left) else 0.0
    return Statistics(len(left), mean_length, lengths, frequencies, vectors)
