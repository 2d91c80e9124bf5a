"""Arrays in blocks: what is made of files on the way to another file is never whole in memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK_BYTES = 1 << 22
"""Bytes of a block, about."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """An array that is made when it is read, one block after another.

    Attributes:
        dtype: Its type.
        shape: Its shape; the blocks cut the first axis.
        blocks: Begins a pass over the blocks, in order; their lengths add up to `shape[0]`.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[Array]]

    def read(self) -> Array:
        """Return the whole array."""
        array = np.empty(self.shape, self.dtype)
        start = 0
        for block in self.blocks():
            array[start : start + len(block)] = block
            start += len(block)
        return array


def column_of(array: Array | Column) -> Column:
    """Return an array as a column; what it takes of a mapped file is given back block by block."""
    if isinstance(array, Column):
        return array
    return Column(array.dtype, array.shape, lambda: _slices(array))


def _slices(array: Array) -> Iterator[Array]:
    row_bytes = max(1, array.nbytes // max(1, len(array)))
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield array[start : start + step]
        release([array])


class Reader:
    """Reads a column from its begin to its end, in pieces of any length."""

    def __init__(self, column: Column) -> None:
        """Begin at the begin."""
        self._column = column
        self._blocks = column.blocks()
        self._rest = np.empty((0, *column.shape[1:]), column.dtype)

    def take(self, n: int) -> Array:
        """Return the next n rows, of which there must be so many left."""
        pieces = [self._rest[:n]]
        self._rest = self._rest[n:]
        missing = n - len(pieces[0])
        while missing:
            block = next(self._blocks)
            pieces.append(block[:missing])
            self._rest = block[missing:]
            missing -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


class Pending(Mapping[str, Array]):
    """Named arrays that are made only if somebody asks for one before they are written."""

    def __init__(self, columns: Mapping[str, Array | Column]) -> None:
        """Remember how to make them."""
        self._columns = columns
        self._arrays: dict[str, Array] | None = None

    def __getitem__(self, name: str) -> Array:
        if self._arrays is None:
            self._arrays = {name: whole(column) for name, column in self._columns.items()}
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def columns(self) -> Mapping[str, Array | Column]:
        """The arrays as they are: made, or still to be made."""
        return self._columns if self._arrays is None else self._arrays


def columns_of(arrays: Mapping[str, Array]) -> Mapping[str, Array | Column]:
    """Return named arrays, those of `Pending` without making them."""
    return arrays.columns if isinstance(arrays, Pending) else arrays


def whole(array: Array | Column) -> Array:
    """Return an array, made where it is a column."""
    return array.read() if isinstance(array, Column) else array


def release(arrays: Iterable[Array]) -> None:
    """Give back the memory that mapped arrays have taken; it is read again when it is needed."""
    for array in arrays:
        base = array.base
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, memoryview):
            base = base.obj
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)
