"""The matrix product behind MaxSim over stored integers: whole numbers, scaled at the end.

A product is one sum of integers, which has no rounding, times two steps: it is the same wherever a
vector stands, whatever stands beside it, on any number of threads and on any CPU.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from glane.model.session import load_session
from glane.threads import check_threads
from glane.types import Scores

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GRAPH = Path(__file__).parent / "integers.onnx"
"""`MatMulIntegerToFloat`, transposed and scaled; written by `tests/make_fixtures.py`."""

QUERY_MOST = np.float32(63)
"""A query's codes have 7 bits: a CPU without VNNI adds two products of a byte and a code in 16
bits, and 2 · 255 · 63 fits. All CPUs are given the same, and score the same."""


class Unsigned(NamedTuple):
    """Vectors as integers from 0 up: x = step · (code - middle).

    Attributes:
        codes: uint8, shape (n, dim).
        middle: The code that stands for 0.
        steps: float32, shape (n,), one a vector.
    """

    codes: npt.NDArray[np.uint8]
    middle: int
    steps: npt.NDArray[np.float32]


class Signed(NamedTuple):
    """Vectors as integers around 0: x = step · code.

    Attributes:
        codes: int8, shape (n, dim).
        steps: float32, shape (n,), one a vector.
    """

    codes: npt.NDArray[np.int8]
    steps: npt.NDArray[np.float32]


def query_codes(vectors: npt.NDArray[np.float32]) -> Signed:
    """Return query vectors as integers: step = max |x| / 63, code = x / step, rounded.

    Args:
        vectors: Shape (n, dim), finite.
    """
    steps = np.abs(vectors).max(axis=1, initial=0) / QUERY_MOST
    levels = vectors / np.where(steps > 0, steps, np.float32(1))[:, None]
    return Signed(np.rint(levels).clip(-QUERY_MOST, QUERY_MOST).astype(np.int8), steps)


def integer_product(queries: Signed, rows: Unsigned, threads: int | None = None) -> Scores:
    """Return the dot product of each query vector with each row.

    Args:
        queries: From `query_codes`, of the rows' width, at most 100,000.
        rows: Any number of vectors, none included.
        threads: Threads to compute with; by default what the process may use.

    Returns:
        float32, shape (n_queries, n_rows): the sum of the codes' products, which is rounded to
        float32 where it is above 2^24, times the query's step, times the row's.
    """
    if not (queries.codes.size and rows.codes.size):  # without numbers of their own, all are 0
        return np.zeros((len(queries.codes), len(rows.codes)), np.float32)
    feed = {
        "rows": rows.codes,
        "columns": np.ascontiguousarray(queries.codes.T),
        "middle": np.array(rows.middle, np.uint8),
        "row_steps": rows.steps,
        "column_steps": queries.steps,
    }
    (products,) = _session(check_threads(threads)).run(None, feed)
    return np.asarray(products)


@cache
def _session(threads: int) -> InferenceSession:
    return load_session(GRAPH, threads)
