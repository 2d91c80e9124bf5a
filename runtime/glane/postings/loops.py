"""The two loops a search of postings spends its time in: numpy's, or compiled where numba is.

Numpy's are the definition; the compiled ones give the same, bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glane.hits import best
from glane.postings.inverted import contenders
from glane.types import Ids, Scores


class Loops(NamedTuple):
    """Functions for the same work by one means.

    Attributes:
        means: Who runs them, and in which version.
        add: As `add` of this module.
        leaders: As `leaders` of this module.
    """

    means: str
    add: Callable[[Scores, npt.NDArray[np.int32] | None, Scores, np.float32], None]
    leaders: Callable[[Scores, int], Ids]


def add(
    scores: Scores, rows: npt.NDArray[np.int32] | None, weights: Scores, factor: np.float32
) -> None:
    """Add weights times a factor to the scores of some rows.

    Args:
        scores: Shape (n_rows,), changed.
        rows: Shape (n,), each once; None for all, in order.
        weights: Shape (n,).
        factor: The product is rounded to float32 before it is added.

    >>> scores = np.zeros(3, np.float32)
    >>> add(scores, np.int32([0, 2]), np.float32([1, 3]), np.float32(2))
    >>> scores
    array([2., 0., 6.], dtype=float32)
    """
    added = weights if factor == 1 else weights * factor
    if rows is None:
        scores += added
    else:
        np.add.at(scores, rows.astype(np.int64), added)  # faster than to add by int32


def leaders(scores: Scores, k: int) -> Ids:
    """Return positions of the k highest scores above 0, best first; equal ones by position.

    Args:
        scores: Shape (n,), at least 0.
        k: At least 1; there may be fewer.

    >>> leaders(np.float32([0, 3, 1, 0, 3]), k=2)
    array([1, 4])
    """
    found = contenders(scores, k)
    return found[best(scores[found], found, k)]


PLAIN = Loops(f"numpy {np.__version__}", add, leaders)


@cache
def fastest() -> Loops:
    """Return the compiled loops where numba can be imported and brings no scipy, else numpy's.

    Numba imports scipy wherever that is installed, which this library never does: there the
    compiled loops are taken only if something else has imported scipy before.
    """
    if "scipy" not in sys.modules and find_spec("scipy") is not None:
        return PLAIN
    return compiled_loops() or PLAIN


def compiled_loops() -> Loops | None:
    """Return the compiled loops, None where numba cannot be imported.

    The first call imports numba, and compiles where no earlier process has left what it compiled.
    """
    try:
        from glane.postings import compiled
    except ImportError:
        return None
    return Loops(f"numba {compiled.VERSION}", compiled.add, compiled.leaders)
