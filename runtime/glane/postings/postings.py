"""Counts of terms under change: documents come and go, and scores are those of what remains."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property, partial, reduce
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glane.hits import Hits, best, check_k
from glane.postings.inverted import InvertedLists, check_counts, check_terms
from glane.postings.joining import join_lists, lists_of, named
from glane.postings.loops import fastest
from glane.postings.statistics import (
    FORWARD,
    Derive,
    Statistics,
    Totals,
    Weigh,
    WeighedTerm,
    Weighting,
    Weights,
    derive_nothing,
    forward,
    row_sums,
    weigh_as_it_is,
)
from glane.ragged import join_lengths
from glane.store.columns import Column, column_of, release, whole
from glane.store.segments import (
    Arrays,
    Columns,
    Parts,
    Segment,
    Segments,
    join_ragged,
    join_rows,
    locate,
    n_left,
    places,
    rows_within,
)
from glane.threads import Guard
from glane.types import MOST, Ids, Mask, Scores, unshared
from glane.vectors import SparseVectors

CACHE_BYTES = 1 << 27
"""Weights kept between searches; beyond it they are forgotten and made anew."""

TOUCHED_BYTES = 1 << 25
"""Mapped lists read before their memory is given back: the file's pages stay the system's."""

AROUND_BYTES = 1 << 21
"""What a system maps around a stretch that is read: Linux up to a large page of its file cache."""

DENSE_SHARE = 4
"""A term in more than one of so many documents is added as a dense array, which is faster."""

GATHERED_SHARE = 8
"""Of so many rows one may be a hit: then their scores are gathered, ..."""

WIDER = 2
"""... else so many times the rows are looked at that would hold the k best if all were alike; where
too few of them may be hits, the scores of the others are set to 0."""

__all__ = ["Postings", "Statistics", "Weigh", "Weighting", "forward", "weigh_as_it_is"]


class Postings:
    """An exact inverted index over counts, weighted at the time of searching.

    Counts are stored, weights are derived term by term at first use: after any sequence of `add`
    and `delete` the scores are, bit for bit, those of an index freshly built of what remains.
    Safe to call from many threads.

    Attributes:
        rows: Where the counts are stored, by document and by term.
    """

    def __init__(
        self,
        weighting: Weighting,
        beside: Sequence[str] = (),
        most: float = MOST,
        derive: Derive = derive_nothing,
    ) -> None:
        """Make an empty index.

        Args:
            weighting: Called after each change; gives the function that weighs a term's counts.
            beside: Names of further arrays, which are stored with one row for each posting.
            most: Largest count or weight.
            derive: Gives what is stored besides of each segment, made of its counts alone.
        """
        self._weighting = weighting
        self._lock = Guard()
        self._beside = tuple(beside)
        self._derive = derive
        self._most = most
        self.rows = Segments(partial(_join, beside=self._beside, derive=derive))
        self._snapshot: _Snapshot | None = None
        self._totals: Totals | None = None

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
        arrays: dict[str, npt.NDArray[Any]] = {
            **dict(zip(FORWARD, forward, strict=True)),
            "lengths": row_sums(counts),
            **named(InvertedLists.invert(counts)),
            **(beside or {}),
        }
        derived = self._derive(arrays, len(counts))
        arrays |= {name: whole(column) for name, column in derived.items()}
        with self._lock:
            return self.rows.add(unshared(arrays, *forward), len(counts))

    def delete(self, ids: Ids) -> None:
        """Forget documents; nothing is deleted where one is unknown.

        Raises:
            ValueError: If a number is not stored, or appears twice.
        """
        with self._lock:
            self.rows.delete(ids)

    def search(self, queries: SparseVectors, k: int, within: Mask | None = None) -> Hits:
        """Return the k documents of highest sum over shared terms of query value times weight.

        Args:
            queries: Shape (n_queries, n_terms); terms are added in their order in the row.
            k: At least 1; a document without a term of the query is no hit.
            within: By number, which documents may be hits; None for all. Weights are those of
                all documents.

        Raises:
            TypeError: If `k` is not an integer, or `queries` are not `SparseVectors`.
            ValueError: If `k` is below 1, or the queries are broken.
        """
        k = check_k(k)
        check_terms(queries, "queries", self._most)
        return self._now().search(queries, k, within)

    def scores_with(self, queries: SparseVectors, number: int) -> list[float]:
        """Return each query's score with one stored document, 0 where no term is shared.

        Raises:
            ValueError: If the document is not stored.
        """
        locate(self.rows.parts, np.array([number]))
        within = np.zeros(self.rows.next_id, np.bool_)
        within[number] = True
        hits = self.search(queries, 1, within)
        scores = np.where(hits.ids[:, 0] == number, hits.scores[:, 0], 0)
        return [float(score) for score in scores]

    def stored(self, ids: Ids) -> SparseVectors:
        """Return what was stored of some documents, in the order of their numbers.

        Raises:
            ValueError: If a number is not stored.
        """
        rows = [forward(part)[row : row + 1] for part, row in places(self.rows.parts, ids)]
        return SparseVectors.concatenate(rows)

    def holding(self, terms: Sequence[int]) -> Mask:
        """Return by number which documents hold each of some terms, of which there is one."""
        held = np.zeros(self.rows.next_id, np.bool_)
        held[self._now().holding(terms)] = True
        return held

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

    def weigh_by(self, weighting: Weighting) -> None:
        """Weigh otherwise from now on; what is stored stays, since it is not weighed."""
        self._weighting = weighting
        self._lock = Guard()
        self._snapshot = None

    def among(self, totals: Totals) -> Self:
        """Return an equal index that weighs as part of a larger collection.

        Args:
            totals: Of the collection, for each term that is numbered here.
        """
        made = self.snapshot()
        made._totals, made._lock, made._snapshot = totals, Guard(), None
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
        renumber = ranks.astype(np.int32)
        join = partial(_join, beside=self._beside, derive=self._derive, renumber=renumber)
        renumbered = Segments(join).joined(parts)
        self.rows.fill(renumbered, self.rows.next_id)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_snapshot": None}

    def _now(self) -> _Snapshot:
        """Return the index as it is now; later changes leave it alone."""
        with self._lock:
            parts = self.rows.parts
            if self._snapshot is None or self._snapshot.parts is not parts:
                self._snapshot = _Snapshot(parts, self._weighting, self._totals)
            return self._snapshot


class _Snapshot:
    """The index at one moment: nothing in it changes but what is remembered of weights."""

    def __init__(self, parts: Parts, weighting: Weighting, totals: Totals | None) -> None:
        self.parts = parts
        self.firsts = join_lengths([part.n_rows for part in parts])
        self.n_rows = int(self.firsts[-1])
        self.statistics = Statistics(parts, totals)
        self.weights = Weights(weighting(self.statistics))
        self.lists = [lists_of(part) for part in parts]
        self.touched_bytes = 0
        self._last_allowed: _Allowed | None = None

    def search(self, queries: SparseVectors, k: int, within: Mask | None) -> Hits:
        """Return the k best documents for each query."""
        scores = np.empty(self.n_rows, np.float32)
        allowed = None if within is None else self._allowed(within)
        rows = []
        for start, stop in pairwise(queries.indptr.tolist()):
            terms, weights = queries.indices[start:stop].tolist(), queries.values[start:stop]
            found = self._leaders(terms, weights, k, scores, allowed)
            rows.append((self.ids[found], scores[found]))
        return Hits.of_ordered(rows, k)

    def holding(self, terms: Sequence[int]) -> Ids:
        """Return the numbers of the documents that hold each of some terms, at least one."""
        return self.ids[reduce(np.intersect1d, (self._postings(term)[0] for term in terms))]

    def _allowed(self, within: Mask) -> _Allowed:
        """Return the rows of a mask, those of the same array as before without looking again."""
        last = self._last_allowed
        if last is None or last.within is not within:
            last = self._last_allowed = _Allowed(self.parts, self.n_rows, within)
        return last

    @cached_property
    def ids(self) -> Ids:
        """The number of each row, rising, shape (n_rows,)."""
        ids = [part.ids for part in self.parts]
        return ids[0] if len(ids) == 1 else np.concatenate([np.empty(0, np.int64), *ids])

    def _leaders(
        self, terms: list[int], weights: Scores, k: int, scores: Scores, allowed: _Allowed | None
    ) -> Ids:
        """Fill `scores` and return the rows of the k best, best first; equal scores by row."""
        known = self._weights()
        positive = self._add(terms, weights, scores, known)
        if not positive:
            found = np.unique(np.concatenate([self._postings(term)[0] for term in terms]))
            found = found if allowed is None else np.intersect1d(found, allowed.rows)
        elif known.bounds is None:
            leaders = fastest().leaders if allowed is None else allowed.leaders
            return leaders(scores, k)
        else:
            if allowed is not None:
                scores *= allowed.ones
            found = known.bounds.candidates(scores, k, len(terms))
        if known.bounds is not None:
            scores[found] = known.bounds.scores(found, terms, weights.tolist())
        return found[best(scores[found], found, k)]

    def _add(self, terms: list[int], weights: Scores, scores: Scores, known: Weights) -> bool:
        """Fill `scores` with the sums of weights; return whether every weight is above 0."""
        scores.fill(0)
        add = fastest().add
        positive = bool((weights > 0).all())
        for term, weight in zip(terms, weights, strict=True):
            rows, added, above_zero = known.terms.get(term) or self._term(term, known)
            positive &= above_zero
            add(scores, rows, added, weight)
        return positive

    @property
    def cache(self) -> dict[int, WeighedTerm]:
        return self.weights.terms

    def _weights(self) -> Weights:
        """Return how to weigh, for one query: exactly as soon as that is known of all rows."""
        bounds = self.weights.bounds
        if bounds is not None and (exact := bounds.settled()) is not None:
            self.weights = Weights(exact)
        return self.weights

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

    def _term(self, term: int, known: Weights) -> WeighedTerm:
        """Weigh a term and remember it."""
        rows, counts = self._postings(term)
        weights = known.weigh(term, rows, counts).astype(np.float32) if len(rows) else counts
        made = WeighedTerm(rows.astype(np.int32), weights, bool(weights.min(initial=1) > 0))
        if len(rows) * DENSE_SHARE > self.n_rows:
            dense = np.zeros(self.n_rows, np.float32)
            dense[rows] = weights
            made = WeighedTerm(None, dense, made.positive)
        known.keep(term, made, CACHE_BYTES)
        if self.touched_bytes > TOUCHED_BYTES:
            release([array for part in self.parts for array in part.arrays.values()])
            self.touched_bytes = 0
        return made


class _Allowed:
    """The rows that may be hits."""

    def __init__(self, parts: Parts, n_rows: int, within: Mask) -> None:
        self.within = within
        self.rows = rows_within(parts, within)
        self.n_rows = n_rows

    @cached_property
    def ones(self) -> Scores:
        """1 for a row that may be a hit, 0 for the others, shape (n_rows,)."""
        ones = np.zeros(self.n_rows, np.float32)
        ones[self.rows] = 1
        return ones

    def leaders(self, scores: Scores, k: int) -> Ids:
        """Return the rows of the k best, best first; `scores` may be changed."""
        leaders = fastest().leaders
        if len(self.rows) * GATHERED_SHARE < self.n_rows:
            return self.rows[leaders(scores[self.rows], k)]
        share = max(1, self.n_rows) / max(1, len(self.rows))
        wide = leaders(scores, int(WIDER * k * share))
        found = wide[self.ones[wide] > 0]
        if len(found) >= k:  # all rows that reach the lowest of `wide` are in it
            return found[:k]
        scores *= self.ones
        return leaders(scores, k)


def _join(
    parts: Sequence[Segment],
    beside: Sequence[str],
    derive: Derive,
    renumber: npt.NDArray[np.int32] | None = None,
) -> Columns:
    columns = dict(join_ragged(parts, *FORWARD, *beside))
    if renumber is not None:
        old = column_of(columns["indices"])
        columns["indices"] = Column(old.dtype, old.shape, lambda: map(renumber.take, old.blocks()))
    columns |= {**join_rows(parts, "lengths"), **join_lists(parts, renumber)}
    return {**columns, **derive(columns, n_left(tuple(parts)))}
