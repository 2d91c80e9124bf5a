"""Numbered rows under change: immutable segments of named arrays, and marks of what was deleted.

The same in memory and on disk, where the arrays are mapped. What an index stores of its documents
(postings, token vectors, names) is a `Segments` each, and its own way to join two of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glane.ragged import join_lengths
from glane.store.columns import Column, Pending, column_of, columns_of, whole
from glane.types import Ids, Mask

Arrays = Mapping[str, npt.NDArray[Any]]
Columns = Mapping[str, npt.NDArray[Any] | Column]


def new_name() -> str:
    """Return a name that nothing on any disk has: a name is never used again."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows that were written together; only the marks of deletion may differ in a later state.

    Attributes:
        ids: int64, shape (n_rows,), the rows' numbers, rising.
        arrays: What is stored of the rows, by name.
        alive: Shape (n_rows,), False where a row was deleted; None where none was.
        n_deleted: How many were.
        name: What it is called on a disk.
        in_memory: Whether the arrays lie in memory: neither mapped nor still to be made.
        unsaved_bytes: What lies in memory alone, of arrays still to be made what they are made of.
    """

    ids: Ids
    arrays: Arrays
    alive: Mask | None = None
    n_deleted: int = 0
    name: str = field(default_factory=new_name)
    in_memory: bool = True
    unsaved_bytes: int = 0

    @property
    def n_rows(self) -> int:
        """How many rows it has, deleted ones included."""
        return len(self.ids)

    @property
    def kept(self) -> slice | Ids:
        """The rows that are left: a plain slice where all are, which copies nothing."""
        return slice(None) if self.alive is None else np.flatnonzero(self.alive)

    @property
    def place(self) -> slice | Ids:
        """Where the rows are among all numbers: a plain slice where none between is missing."""
        low, high = int(self.ids[0]), int(self.ids[-1]) + 1
        return slice(low, high) if high - low == self.n_rows else self.ids

    def only(self, rows: Ids) -> Segment:
        """Return the segment with all but some rows deleted, each of them left so far."""
        alive = np.zeros(self.n_rows, np.bool_)
        alive[rows] = True
        return replace(self, alive=alive, n_deleted=self.n_rows - len(rows))

    def without(self, rows: Ids) -> Segment:
        """Return the segment with further rows deleted, each of them left so far."""
        alive = np.ones(self.n_rows, np.bool_) if self.alive is None else self.alive.copy()
        alive[rows] = False
        return replace(self, alive=alive, n_deleted=self.n_deleted + len(rows))

    def column(self, name: str) -> Column:
        """Return one of its arrays to be read in blocks."""
        return column_of(columns_of(self.arrays)[name])

    def whole(self, name: str) -> npt.NDArray[Any]:
        """Return one of its smaller arrays, the others not made where they are not."""
        return whole(columns_of(self.arrays)[name])


Parts = tuple[Segment, ...]
Join = Callable[[Sequence[Segment]], Columns]
"""Returns the arrays of the rows that are left in some segments, in order, to be made block by
block; it reads the segments by `Segment.column` and `Segment.whole`."""


class Segments:
    """Rows numbered in order of writing; a number is never given twice.

    A new segment is joined with those before it that are no larger, so that there are never more
    than a logarithm of the rows; all is joined where half of the rows are deleted. What lies in
    memory is joined at once, what lies on a disk while it is written.

    `parts` is a state that no later change touches, and `snapshot` another table that begins with
    it: who searches takes either once. Changing one table is for one thread at a time.
    """

    def __init__(self, join: Join) -> None:
        """Make it empty.

        Args:
            join: How the arrays of several segments become those of one.
        """
        self._join = join
        self.parts: Parts = ()
        self.next_id = 0
        self._due: Ids = np.empty(0, np.int64)

    def __len__(self) -> int:
        """Return how many rows are left."""
        return n_left(self.parts)

    def snapshot(self) -> Self:
        """Return an equal table; changes of one leave the other alone, and nothing is copied."""
        return copy(self)

    def add(self, arrays: Arrays, n_rows: int) -> Ids:
        """Store rows and return their numbers."""
        ids = np.arange(self.next_id, self.next_id + n_rows)
        if len(self._due):
            ids, self._due = self._due[:n_rows], self._due[n_rows:]
        if n_rows:
            segment = Segment(ids, arrays, unsaved_bytes=_n_bytes(arrays))
            self.parts = self._merged((*self.parts, segment))
            self.next_id = int(ids[-1]) + 1
        return ids

    def number_next(self, ids: Ids) -> None:
        """Give the next rows that are stored these numbers, in place of those that are due.

        Args:
            ids: Rising, as many as rows will be stored.

        Raises:
            ValueError: If one of them, or a higher one, was given before.
        """
        if len(ids) and ids[0] < self.next_id:
            raise ValueError(f"numbers must be at least {self.next_id}, got {ids[0]}")
        self._due = ids

    def delete(self, ids: Ids) -> None:
        """Forget rows.

        Raises:
            ValueError: If a number is not stored, or appears twice; nothing is deleted then.
        """
        wanted = np.asarray(ids, np.int64).ravel()
        rows = locate(self.parts, wanted)
        if len(np.unique(wanted)) < len(wanted):
            raise ValueError(f"ids must differ, got {wanted.tolist()}")
        parts = [part.without(own) if len(own) else part for part, own in split(self.parts, rows)]
        self.parts = self._tidied(tuple(parts))

    def copy_rows(self, ids: Ids) -> Ids:
        """Store rows again, as they are, under new numbers, which are returned.

        Args:
            ids: Numbers of stored rows, rising.
        """
        chosen = [
            part.only(own) for part, own in split(self.parts, locate(self.parts, ids)) if len(own)
        ]
        return self.add({name: whole(each) for name, each in self._join(chosen).items()}, len(ids))

    def compact(self) -> None:
        """Join everything into one segment without deleted rows."""
        if len(self.parts) > 1 or any(part.n_deleted for part in self.parts):
            self.parts = self.joined(self.parts)

    def fill(self, parts: Parts, next_id: int) -> None:
        """Take over the state of another, such as one on disk."""
        self.parts, self.next_id = parts, next_id

    def joined(self, parts: Parts) -> Parts:
        """Return one segment in place of several, none where no row is left."""
        ids = ids_left(parts)
        if not len(ids):
            return ()
        pending = Pending(self._join(parts))
        if not all(part.in_memory for part in parts):
            unsaved = sum(part.unsaved_bytes for part in parts)
            return (Segment(ids, pending, in_memory=False, unsaved_bytes=unsaved),)
        arrays = {name: whole(each) for name, each in pending.columns.items()}
        return (Segment(ids, arrays, unsaved_bytes=_n_bytes(arrays)),)

    def _merged(self, parts: Parts) -> Parts:
        first, size = len(parts) - 1, parts[-1].n_rows
        while first and parts[first - 1].n_rows <= size:
            first -= 1
            size += parts[first].n_rows
        return parts if first == len(parts) - 1 else (*parts[:first], *self.joined(parts[first:]))

    def _tidied(self, parts: Parts) -> Parts:
        parts = tuple(part for part in parts if part.n_deleted < part.n_rows)
        n_rows = sum(part.n_rows for part in parts)
        return self.joined(parts) if 2 * n_left(parts) < n_rows else parts


def _n_bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


def n_left(parts: Parts) -> int:
    """Return how many rows are left."""
    return sum(part.n_rows - part.n_deleted for part in parts)


def ids_left(parts: Parts) -> Ids:
    """Return the numbers of the rows that are left, rising."""
    return np.concatenate([np.empty(0, np.int64), *(part.ids[part.kept] for part in parts)])


def locate(parts: Parts, ids: Ids) -> Ids:
    """Return the place of each number among the rows of all parts, deleted rows counted.

    Raises:
        ValueError: If a number is not stored.
    """
    rows = find_rows(parts, ids)
    if (rows < 0).any():
        raise ValueError(f"unknown document {ids[rows < 0][0]}; it is not stored")
    return rows


def find_rows(parts: Parts, ids: Ids) -> Ids:
    """Return the place of each number as `locate` does, -1 of one that is not stored."""
    rows = np.full(len(ids), -1, np.int64)
    first = 0
    for part in parts:
        places = np.searchsorted(part.ids, ids)
        found = places < part.n_rows
        found[found] = part.ids[places[found]] == ids[found]
        if part.alive is not None:
            found[found] = part.alive[places[found]]
        rows[found] = first + places[found]
        first += part.n_rows
    return rows


def rows_within(parts: Parts, within: Mask) -> Ids:
    """Return the places, among the rows of all parts, of the rows left that a mask has, rising.

    Args:
        parts: Segments.
        within: By number, shape (numbers given,).
    """
    found, first = [np.empty(0, np.int64)], 0
    for part in parts:
        own = within[part.place]
        own = own if part.alive is None else own & part.alive
        found.append(np.flatnonzero(own) + first)
        first += part.n_rows
    return np.concatenate(found)


def split(parts: Parts, rows: Ids) -> list[tuple[Segment, Ids]]:
    """Return each part with those of the rows that lie in it, counted from its first.

    Args:
        parts: Segments.
        rows: Places among the rows of all parts, in any order; within a part it is kept.
    """
    ends = np.cumsum([part.n_rows for part in parts])
    owners = np.searchsorted(ends, rows, side="right")
    return [
        (part, rows[owners == number] - (end - part.n_rows))
        for number, (part, end) in enumerate(zip(parts, ends.tolist(), strict=True))
    ]


def places(parts: Parts, ids: Ids | Sequence[int]) -> list[tuple[Segment, int]]:
    """Return the segment of each number, and its row there, in the order given.

    Raises:
        ValueError: If a number is not stored.
    """
    rows = locate(parts, np.asarray(ids, np.int64))
    firsts = np.cumsum([0, *(part.n_rows for part in parts)])
    owners = np.searchsorted(firsts, rows, side="right") - 1
    pairs = zip(owners.tolist(), (rows - firsts[owners]).tolist(), strict=True)
    return [(parts[owner], row) for owner, row in pairs]


def join_ragged(parts: Sequence[Segment], offsets: str, *elements: str) -> Columns:
    """Return ragged arrays of the rows that are left, back to back.

    Args:
        parts: At least one segment.
        offsets: Name of the array that says where each row begins.
        elements: Names of the arrays that it cuts.
    """
    begins = [part.whole(offsets) for part in parts]
    lengths = [np.diff(own)[part.kept] for part, own in zip(parts, begins, strict=True)]
    joined = join_lengths(np.concatenate(lengths))
    columns: dict[str, npt.NDArray[Any] | Column] = {offsets: joined}
    for name in elements:
        blocks = partial(_kept_elements, parts, begins, name)
        columns[name] = _column_like(parts[0].column(name), int(joined[-1]), blocks)
    return columns


def join_rows(parts: Sequence[Segment], *names: str) -> Columns:
    """Return arrays that have one row for each row of a segment, of the rows that are left."""
    n_rows = n_left(tuple(parts))
    return {
        name: _column_like(parts[0].column(name), n_rows, partial(_kept_rows, parts, name))
        for name in names
    }


def _column_like(
    column: Column, length: int, blocks: Callable[[], Iterator[npt.NDArray[Any]]]
) -> Column:
    return Column(column.dtype, (length, *column.shape[1:]), blocks)


def _kept_elements(
    parts: Sequence[Segment], begins: Sequence[Ids], name: str
) -> Iterator[npt.NDArray[Any]]:
    for part, offsets in zip(parts, begins, strict=True):
        start = 0
        for block in part.column(name).blocks():
            if part.alive is None:
                yield block
                continue
            stop = start + len(block)
            first, last = np.searchsorted(offsets, [start, stop], side="right") - 1
            ends = offsets[first : last + 2].clip(start, stop)
            alive = part.alive[first : first + len(ends) - 1]
            yield block[np.repeat(alive, np.diff(ends))]
            start = stop


def _kept_rows(parts: Sequence[Segment], name: str) -> Iterator[npt.NDArray[Any]]:
    for part in parts:
        start = 0
        for block in part.column(name).blocks():
            alive = None if part.alive is None else part.alive[start : start + len(block)]
            yield block if alive is None else block[alive]
            start += len(block)
