"""Numbered rows under change: immutable segments of named arrays, and marks of what was deleted.

The same in memory and on disk, where the arrays are mapped. What an index stores of its documents
(postings, token vectors, names) is a `Segments` each, and its own way to join two of them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.ragged import join_offsets, take_rows
from glane.types import Ids, Mask

Arrays = Mapping[str, npt.NDArray[Any]]


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
    """

    ids: Ids
    arrays: Arrays
    alive: Mask | None = None
    n_deleted: int = 0
    name: str = field(default_factory=new_name)

    @property
    def n_rows(self) -> int:
        """How many rows it has, deleted ones included."""
        return len(self.ids)

    @property
    def kept(self) -> slice | Ids:
        """The rows that are left: a plain slice where all are, which copies nothing."""
        return slice(None) if self.alive is None else np.flatnonzero(self.alive)

    def without(self, rows: Ids) -> Segment:
        """Return the segment with further rows deleted, each of them left so far."""
        alive = np.ones(self.n_rows, np.bool_) if self.alive is None else self.alive.copy()
        alive[rows] = False
        return replace(self, alive=alive, n_deleted=self.n_deleted + len(rows))


Parts = tuple[Segment, ...]
Join = Callable[[Sequence[Segment]], Arrays]
"""Returns the arrays of the rows that are left in some segments, in order."""


class Segments:
    """Rows numbered in order of writing; a number is never given twice.

    A new segment is joined with those before it that are no larger, so that there are never more
    than a logarithm of the rows; all is joined where half of the rows are deleted. `parts` is a
    state that no later change touches: who searches takes it once.
    """

    def __init__(self, join: Join) -> None:
        """Make it empty.

        Args:
            join: How the arrays of several segments become those of one.
        """
        self._join = join
        self._lock = threading.Lock()
        self.parts: Parts = ()
        self.next_id = 0

    def __len__(self) -> int:
        """Return how many rows are left."""
        return n_left(self.parts)

    def add(self, arrays: Arrays, n_rows: int) -> Ids:
        """Store rows and return their numbers."""
        with self._lock:
            ids = np.arange(self.next_id, self.next_id + n_rows)
            self.next_id += n_rows
            if n_rows:
                self.parts = self._merged((*self.parts, Segment(ids, arrays)))
        return ids

    def delete(self, ids: Ids) -> None:
        """Forget rows.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        wanted = np.asarray(ids, np.int64).ravel()
        with self._lock:
            rows = locate(self.parts, wanted)
            if len(np.unique(wanted)) < len(wanted):
                raise ValueError(f"ids must differ, got {wanted.tolist()}")
            parts = [
                part.without(own) if len(own) else part for part, own in split(self.parts, rows)
            ]
            self.parts = self._tidied(tuple(parts))

    def compact(self) -> None:
        """Join everything into one segment without deleted rows."""
        with self._lock:
            if len(self.parts) > 1 or any(part.n_deleted for part in self.parts):
                self.parts = self._joined(self.parts)

    def fill(self, parts: Parts, next_id: int) -> None:
        """Take over the state of another, such as one on disk."""
        with self._lock:
            self.parts, self.next_id = parts, next_id

    def _merged(self, parts: Parts) -> Parts:
        first, size = len(parts) - 1, parts[-1].n_rows
        while first and parts[first - 1].n_rows <= size:
            first -= 1
            size += parts[first].n_rows
        return parts if first == len(parts) - 1 else (*parts[:first], *self._joined(parts[first:]))

    def _tidied(self, parts: Parts) -> Parts:
        parts = tuple(part for part in parts if part.n_deleted < part.n_rows)
        n_rows = sum(part.n_rows for part in parts)
        return self._joined(parts) if 2 * n_left(parts) < n_rows else parts

    def _joined(self, parts: Parts) -> Parts:
        ids = np.concatenate([part.ids[part.kept] for part in parts])
        return (Segment(ids, self._join(parts)),) if len(ids) else ()


def n_left(parts: Parts) -> int:
    """Return how many rows are left."""
    return sum(part.n_rows - part.n_deleted for part in parts)


def locate(parts: Parts, ids: Ids) -> Ids:
    """Return the place of each number among the rows of all parts, deleted rows counted.

    Raises:
        ValueError: If a number is not stored.
    """
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
    if (rows < 0).any():
        raise ValueError(f"unknown document {ids[rows < 0][0]}; it is not stored")
    return rows


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


def join_ragged(
    parts: Sequence[Segment], offsets: str, *elements: str
) -> dict[str, npt.NDArray[Any]]:
    """Return ragged arrays of the rows that are left, back to back.

    Args:
        parts: At least one segment.
        offsets: Name of the array that says where each row begins.
        elements: Names of the arrays that it cuts.
    """
    taken = [take_rows(part.arrays[offsets], part.kept) for part in parts]
    joined = {offsets: join_offsets([own for own, _ in taken])}
    for name in elements:
        chosen = [part.arrays[name][at] for part, (_, at) in zip(parts, taken, strict=True)]
        joined[name] = np.concatenate(chosen)
    return joined
