"""Rows of different lengths laid back to back: their offsets, checked and reckoned with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from glane.types import Ids, checked_array

_Number = TypeVar("_Number", bound=np.generic)

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

    Raises:
        TypeError: If `rows` is a single number.
        IndexError: If a row is not there.

    >>> take_rows(np.array([0, 2, 5]), np.array([1, 0]))
    (array([0, 3, 5]), array([2, 3, 4, 0, 1]))
    """
    n_rows = len(offsets) - 1
    if isinstance(rows, slice) and rows.step in (None, 1):
        start, stop, _ = rows.indices(n_rows)
        chosen = offsets[start : max(start, stop) + 1]
        return chosen - chosen[0], slice(int(chosen[0]), int(chosen[-1]))
    numbers = np.arange(n_rows)[rows if isinstance(rows, slice) else _row_numbers(rows)]
    lengths = np.diff(offsets)[numbers]
    taken = join_lengths(lengths)
    shift = np.repeat(offsets[numbers] - taken[:-1], lengths)
    return taken, np.arange(taken[-1]) + shift


def groups(keys: npt.NDArray[np.integer[Any]]) -> tuple[Ids, Ids]:
    """Return the order that sorts keys, equal ones in order of place, and where each begins in it.

    They are sorted by 16 bits at a time, the lowest first: so few numpy sorts by counting, in a
    fraction of the time that it takes for whole integers.

    Args:
        keys: Of at least 0, shape (n,).

    >>> groups(np.array([7, 3, 7]))
    (array([1, 0, 2]), array([0, 1]))
    """
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    for shift in range(16, int(keys.max(initial=0)).bit_length(), 16):
        digits = (keys >> keys.dtype.type(shift)).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    ordered = keys[order]
    return order, np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))


def join_runs(array: npt.NDArray[_Number], runs: Sequence[slice]) -> npt.NDArray[_Number]:
    """Return some runs of an array, at least one, back to back; a single one is not copied."""
    return array[runs[0]] if len(runs) == 1 else np.concatenate([array[run] for run in runs])


def _row_numbers(rows: Ids) -> Ids:
    numbers = np.asarray(rows)
    if numbers.ndim != 1:
        got = f"got {type(rows).__name__}: {rows!r}"
        raise TypeError(f"rows are taken by a slice or an array of numbers, as in [0:1]; {got}")
    return numbers if numbers.size else numbers.astype(np.int64)


def checked_offsets(offsets: Ids, name: str, length: int) -> Ids:
    """Return offsets as int64; whether they fall in between is left to `check_rising`.

    Args:
        offsets: What was given.
        name: What they are called.
        length: Of the arrays that they cut.

    Raises:
        TypeError: If they are not an array.
        ValueError: If they do not begin with 0 and end with the length.
    """
    plain = checked_array(offsets, name, 1, "iu")
    if len(plain) == 0:
        raise ValueError(f"{name} must begin with 0, got none; no rows are np.array([0])")
    if plain[0] != 0 or plain[-1] != length:
        got = f"got {plain[0]} and {plain[-1]}"
        raise ValueError(f"{name} must begin with 0 and end with the {length} values; {got}")
    return plain.astype(np.int64, copy=False)


def check_rising(offsets: Ids, name: str) -> None:
    """Refuse offsets of which one is lower than the one before it.

    Raises:
        ValueError: The message names the row.
    """
    falls = offsets[1:] < offsets[:-1]
    if falls.any():
        row = int(falls.argmax())
        end = f"row {row} begins at {offsets[row]} and ends at {offsets[row + 1]}"
        raise ValueError(f"offsets of {name} must not fall, but {end}")
