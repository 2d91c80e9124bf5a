"""The loops of `loops`, compiled by numba: only what may import it imports this module.

What is compiled lies beside this file, or where numba keeps what it may not write there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import __version__, njit

from glane.types import Ids, Scores

VERSION = __version__

BLOCKS = 4
"""So many times k blocks of rows are told apart: more cost time, fewer let more rows through."""

LAST = 0xFFFFFFFF
"""Highest number of a row: it takes the lower half of a key."""

F = TypeVar("F", bound=Callable[..., object])


def _compiled(signature: str) -> Callable[[F], F]:
    """Compile a function at once; other threads run while it does."""

    def compile_it(function: F) -> F:
        try:
            return cast(F, njit(signature, nogil=True, cache=True)(function))
        except RuntimeError:  # nowhere to keep it, as in a container that is read only
            return cast(F, njit(signature, nogil=True)(function))

    return compile_it


def add(
    scores: Scores, rows: npt.NDArray[np.int32] | None, weights: Scores, factor: np.float32
) -> None:
    """Add weights times a factor to the scores of some rows, as `loops.add` does."""
    if rows is None:
        _add_all(scores, weights, factor)
    else:
        _add_some(scores, rows, weights, factor)


def leaders(scores: Scores, k: int) -> Ids:
    """Return positions of the k highest scores above 0, best first, as `loops.leaders` does.

    The kth highest of the blocks' highest is reached by k rows at least, so no row below it
    counts; and few reach it, in few blocks.
    """
    bits = scores.view(np.uint32)  # those of floats of at least 0 rise as the floats do
    width = max(1, len(bits) // (BLOCKS * k))
    tops = _tops(bits, width)
    least = np.uint32(1)
    if k <= len(tops):
        least = max(least, np.partition(tops, len(tops) - k)[len(tops) - k])
    blocks = np.flatnonzero(tops >= least)
    keys = np.empty(len(blocks) * width, np.uint64)
    keys = keys[: _reaching(bits, width, blocks, least, keys)]
    if k < len(keys):
        keys = np.partition(keys, len(keys) - k)[len(keys) - k :]
    keys.sort()
    return LAST - (keys[::-1] & np.uint64(LAST)).astype(np.int64)


@_compiled("void(float32[::1], float32[::1], float32)")
def _add_all(scores: Scores, weights: Scores, factor: np.float32) -> None:
    for row in range(len(weights)):
        scores[row] += weights[row] * factor


@_compiled("void(float32[::1], int32[::1], float32[::1], float32)")
def _add_some(
    scores: Scores, rows: npt.NDArray[np.int32], weights: Scores, factor: np.float32
) -> None:
    for place in range(len(rows)):
        scores[np.uint32(rows[place])] += weights[place] * factor  # signed, it might be below 0


@_compiled("uint32[::1](uint32[::1], int64)")
def _tops(bits: npt.NDArray[np.uint32], width: int) -> npt.NDArray[np.uint32]:
    """Return the highest of each block of so many."""
    tops = np.empty((len(bits) + width - 1) // width, np.uint32)
    for block in range(len(tops)):
        part = bits[block * width : (block + 1) * width]
        top = np.uint32(0)
        for place in range(len(part)):
            top = max(top, part[place])
        tops[block] = top
    return tops


@_compiled("int64(uint32[::1], int64, int64[::1], uint32, uint64[::1])")
def _reaching(
    bits: npt.NDArray[np.uint32],
    width: int,
    blocks: Ids,
    least: np.uint32,
    keys: npt.NDArray[np.uint64],
) -> int:
    """Write a key of each row of some blocks that reaches the least; return how many.

    A key holds score and row, the lower row higher, so that one comparison looks at both.
    """
    held = 0
    for block in blocks:
        part = bits[block * width : (block + 1) * width]
        for place in range(len(part)):
            if part[place] >= least:
                row = block * width + place
                keys[held] = np.uint64(part[place]) << np.uint64(32) | np.uint64(LAST - row)
                held += 1
    return held
