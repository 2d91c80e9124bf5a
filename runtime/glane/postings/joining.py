"""Several segments of postings become one, term by term and block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.postings.inverted import InvertedLists
from glane.ragged import join_lengths
from glane.store.columns import Column, Reader
from glane.store.segments import Arrays, Columns, Segment
from glane.types import Ids, Mask

LISTS = ("list_terms", "list_offsets", "list_rows", "list_values")

BLOCK_POSTINGS = 1 << 20
"""Postings that are merged at once; a term that has more is merged alone."""


def lists_of(part: Segment) -> InvertedLists:
    """Return the inverted lists of a segment."""
    return InvertedLists(*(part.arrays[name] for name in LISTS))


def named(lists: InvertedLists) -> Arrays:
    """Return inverted lists as a segment's arrays."""
    return dict(zip(LISTS, (lists.terms, lists.offsets, lists.rows, lists.values), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The inverted lists of one segment, and which of its rows are left.

    Attributes:
        terms: Shape (n_terms,), rising; the same number more than once where all but the first
            have no row left.
        offsets: Shape (n_terms + 1,).
        kept: Shape (n_terms,), postings of each term whose row is left.
        alive: Shape (n_rows,); None where all are left.
        first: Rows that are left in the segments before.
        column: Gives `list_rows` or `list_values`.
    """

    terms: npt.NDArray[np.int32]
    offsets: Ids
    kept: Ids
    alive: Mask | None
    first: int
    column: Callable[[str], Column]


def join_lists(
    segments: Sequence[Segment], renumber: npt.NDArray[np.int32] | None = None
) -> Columns:
    """Return the inverted lists of the rows that are left in some segments, rows counted anew.

    Args:
        segments: At least one.
        renumber: New number of each term, rising; terms without a row that is left may have that
            of another.
    """
    parts, first = [], 0
    for segment in segments:
        part = _part(segment, first, renumber)
        parts.append(part)
        first += segment.n_rows - segment.n_deleted
    terms = np.unique(np.concatenate([part.terms[part.kept > 0] for part in parts]))
    lengths = np.zeros(len(terms), np.int64)
    for part in parts:
        held = part.kept > 0
        lengths[np.searchsorted(terms, part.terms[held])] += part.kept[held]
    offsets = join_lengths(lengths)
    shape = (int(offsets[-1]),)
    rows = partial(_merged, parts, terms, offsets, "list_rows")
    values = partial(_merged, parts, terms, offsets, "list_values")
    return {
        "list_terms": terms,
        "list_offsets": offsets,
        "list_rows": Column(np.dtype(np.int32), shape, rows),
        "list_values": Column(np.dtype(np.float32), shape, values),
    }


def _part(segment: Segment, first: int, renumber: npt.NDArray[np.int32] | None) -> _Part:
    terms, offsets = segment.whole("list_terms"), segment.whole("list_offsets")
    kept = np.diff(offsets)
    if segment.alive is not None:
        kept = _n_kept(segment.column("list_rows"), offsets, segment.alive)
    if renumber is not None:
        terms = renumber[terms]
    return _Part(terms, offsets, kept, segment.alive, first, segment.column)


def _n_kept(rows: Column, offsets: Ids, alive: Mask) -> Ids:
    """Return how many rows of each term are left."""
    kept, start = np.zeros(len(offsets) - 1, np.int64), 0
    for block in rows.blocks():
        stop = start + len(block)
        begin, end = np.searchsorted(offsets, [start, stop], side="right") - 1
        ends = offsets[begin : end + 2].clip(start, stop)
        owners = np.repeat(np.arange(begin, begin + len(ends) - 1), np.diff(ends))
        kept += np.bincount(owners[alive[block]], minlength=len(kept))[: len(kept)]
        start = stop
    return kept


def _merged(
    parts: Sequence[_Part], terms: npt.NDArray[np.int32], offsets: Ids, name: str
) -> Iterator[npt.NDArray[Any]]:
    """Yield one array of the joint lists: of each term the postings of one part after another."""
    sources = [_Source(part, name) for part in parts]
    begin = 0
    while begin < len(terms):
        limit = offsets[begin] + BLOCK_POSTINGS
        end = max(begin + 1, int(np.searchsorted(offsets, limit, side="right")) - 1)
        own = offsets[begin : end + 1] - offsets[begin]
        made = np.empty(int(own[-1]), np.int32 if name == "list_rows" else np.float32)
        filled = own[:-1].copy()
        for source in sources:
            source.pour(terms[begin:end], end == len(terms), made, filled)
        yield made
        begin = end


class _Source:
    """What is left of one array of a part's lists, from the first term to the last."""

    def __init__(self, part: _Part, name: str) -> None:
        self.part = part
        self.rows = Reader(part.column("list_rows"))
        self.values = None if name == "list_rows" else Reader(part.column(name))
        self.rank = None if part.alive is None else part.alive.cumsum(dtype=np.int32) - 1
        self.next = 0

    def pour(
        self, terms: npt.NDArray[np.int32], last: bool, made: npt.NDArray[Any], filled: Ids
    ) -> None:
        """Put the postings of some terms where `filled` says, and move that on.

        Args:
            terms: The next terms of the joint lists.
            last: Whether they are the last: then all that is left is read.
            made: The array that is made of them.
            filled: Shape (n_terms,), where in `made` the next posting of each term belongs.
        """
        part, low = self.part, self.next
        high = len(part.terms)
        if not last:
            high = int(np.searchsorted(part.terms, terms[-1], side="right"))
        self.next = high
        taken = self._take(int(part.offsets[high] - part.offsets[low]))
        held = part.kept[low:high] > 0
        kept = part.kept[low:high][held]
        places = np.searchsorted(terms, part.terms[low:high][held])
        shift = filled[places] - (kept.cumsum() - kept)
        made[np.repeat(shift, kept) + np.arange(len(taken))] = taken
        filled[places] += kept

    def _take(self, n: int) -> npt.NDArray[Any]:
        """Return the next n postings but those of deleted rows; rows as the joint lists count."""
        alive = self.part.alive
        if self.values is not None and alive is None:
            return self.values.take(n)
        rows = self.rows.take(n)
        left = slice(None) if alive is None else alive[rows]
        if self.values is not None:
            return self.values.take(n)[left]
        counted = rows if self.rank is None else self.rank[rows[left]]
        return counted + np.int32(self.part.first)
