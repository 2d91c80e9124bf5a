"""Arrays: aliases, with the dtype in the type and the shape in the docstrings, and their checks."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
"""Document numbers in order of last write; -1 where a row of hits is short."""

Scores = npt.NDArray[np.float32]
"""Scores, higher is better; -inf where a row of hits is short."""

Floats = npt.NDArray[np.floating[Any]]
"""Vectors of float32, or of float16 where they are stored."""

Mask = npt.NDArray[np.bool_]
"""True where a token counts."""

F = TypeVar("F", bound=np.floating[Any])

NUMBERS = {"iu": "integers", "f": "floats", "iuf": "numbers"}
"""Numpy's letters of kinds of numbers, and what they are called."""

MOST = float(np.finfo(np.float16).max)
"""Largest size of a component or weight that is taken: 65,504, what float16 holds."""


def checked_array(
    array: npt.NDArray[Any], name: str, n_axes: Literal[1, 2], kinds: str
) -> npt.NDArray[Any]:
    """Return a plain array; its values are not looked at.

    Args:
        array: What was given.
        name: What it is called.
        n_axes: How many axes it must have.
        kinds: What it may hold, one of `NUMBERS`.

    Raises:
        TypeError: If it is not an array.
        ValueError: If it has other axes, or holds something else.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.ndim != n_axes or array.dtype.kind not in kinds:
        axes = "1 axis" if n_axes == 1 else "2 axes"
        got = f"got {array.dtype} of shape {array.shape}"
        raise ValueError(f"{name} must hold {NUMBERS[kinds]} along {axes}, {got}")
    return np.asarray(array)


def as_int32(numbers: npt.NDArray[Any], name: str) -> npt.NDArray[np.int32]:
    """Return integers as int32.

    Raises:
        ValueError: If one does not fit.
    """
    if numbers.dtype != np.int32 and len(numbers):
        limits = np.iinfo(np.int32)
        for number in (numbers.min(), numbers.max()):
            if not limits.min <= number <= limits.max:
                raise ValueError(f"{name} must fit into int32, got {number}")
    return numbers.astype(np.int32, copy=False)


def as_type(values: npt.NDArray[Any], dtype: type[F]) -> npt.NDArray[F]:
    """Return values in another precision; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)


def single_or_half(values: Floats) -> Floats:
    """Return float16 as it is, and other floats as float32."""
    return values if values.dtype == np.float16 else as_type(values, np.float32)


def unshared(
    arrays: Mapping[str, npt.NDArray[Any]], *given: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Return named arrays, those copied that share memory with one that a caller may change."""
    return {
        name: array.copy() if any(np.may_share_memory(array, own) for own in given) else array
        for name, array in arrays.items()
    }


def check_size(values: Floats, offsets: Ids, name: str, most: float = MOST) -> None:
    """Refuse numbers that are not finite or too large: one would win or spoil every ranking.

    Args:
        values: Shape (n_values,) or (n_values, dim).
        offsets: Shape (n_rows + 1,), which cut the values into rows.
        name: What they are called.
        most: Largest size.

    Raises:
        ValueError: The message names the row.
    """
    if values.dtype == np.float16:  # numpy is ten times slower at comparing these than their bits
        if (values.view(np.uint16) & 0x7FFF).max(initial=0) <= 0x7BFF:
            return
    elif -most <= values.min(initial=0) and values.max(initial=0) <= most:  # false for NaN
        return
    fits = np.abs(values.reshape(len(values), -1)) <= most
    place = int(fits.all(axis=1).argmin())
    row = int(np.searchsorted(offsets, place, side="right")) - 1
    wrong = values[place].ravel()[fits[place].argmin()]
    raise ValueError(
        f"{name} must be finite and at most {most:,.0f} in size, got {wrong} in row {row}"
    )
