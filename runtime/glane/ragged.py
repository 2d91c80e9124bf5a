"""Rows of different lengths laid back to back: the arithmetic of their offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from glane.types import Ids

Rows = slice | Ids
"""Some rows: a slice of step 1, or an array of row numbers."""


def join_offsets(parts: Sequence[Ids]) -> Ids:
    """Return the offsets of ragged parts laid back to back.

    >>> join_offsets([np.array([0, 2, 5]), np.array([0, 1])])
    array([0, 2, 5, 6])
    """
    return join_lengths(np.concatenate([np.empty(0, np.int64), *map(np.diff, parts)]))


def join_lengths(lengths: Sequence[int] | Ids) -> Ids:
    """Return the offsets of rows of these lengths, laid back to back.

    >>> join_lengths([2, 0, 3])
    array([0, 2, 2, 5])
    """
    return np.concatenate([np.zeros(1, np.int64), np.asarray(lengths, np.int64)]).cumsum()


@overload
def take_rows(offsets: Ids, rows: Ids) -> tuple[Ids, Ids]: ...
@overload
def take_rows(offsets: Ids, rows: Rows) -> tuple[Ids, slice | Ids]: ...
def take_rows(offsets: Ids, rows: Rows) -> tuple[Ids, slice | Ids]:
    """Return the offsets of chosen ragged rows and where their elements lie.

    Args:
        offsets: Shape (n + 1,).
        rows: A slice of step 1 (elements come back as a slice: a view, no copy), or row numbers.

    Returns:
        New offsets, shape (n_chosen + 1,), and the elements' positions.

    >>> take_rows(np.array([0, 2, 5]), np.array([1, 0]))
    (array([0, 3, 5]), array([2, 3, 4, 0, 1]))
    """
    n_rows = len(offsets) - 1
    if isinstance(rows, slice) and rows.step in (None, 1):
        start, stop, _ = rows.indices(n_rows)
        chosen = offsets[start : max(start, stop) + 1]
        return chosen - chosen[0], slice(int(chosen[0]), int(chosen[-1]))
    numbers = np.arange(n_rows)[rows]
    lengths = np.diff(offsets)[numbers]
    taken = join_lengths(lengths)
    shift = np.repeat(offsets[numbers] - taken[:-1], lengths)
    return taken, np.arange(taken[-1]) + shift
