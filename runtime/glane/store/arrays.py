"""The one writer, reader and mapper of arrays."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError


def save_arrays(folder: str | Path, **arrays: npt.NDArray[Any]) -> None:
    """Write each array beside and move it into place: it may be mapped from the old file."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        path = Path(folder) / f"{name}.npy"
        new = path.with_suffix(".new.npy")
        np.save(new, array, allow_pickle=False)
        os.replace(new, path)


def load_arrays(folder: str | Path, *names: str) -> list[npt.NDArray[Any]]:
    """Map the offsets and the arrays they cut, which must be as long as the offsets say."""
    offsets, *arrays = [read_array(Path(folder) / f"{name}.npy") for name in names]
    if len(offsets) == 0 or any(len(array) != offsets[-1] for array in arrays):
        raise CheckpointError(f"{str(folder)!r} is damaged: its arrays are of different lengths")
    return [offsets, *arrays]


def read_array(path: Path, *, mapped: bool = True) -> npt.NDArray[Any]:
    """Return an array from a `.npy` file; a pickle is never opened.

    Args:
        path: The file.
        mapped: Whether it is mapped and cannot be written to, or read whole.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        array: npt.NDArray[Any] = np.load(
            path, allow_pickle=False, mmap_mode="r" if mapped else None
        )
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    return array.view(np.ndarray)


def release(arrays: Iterable[npt.NDArray[Any]]) -> None:
    """Give back the memory that mapped arrays have taken; it is read again when it is needed."""
    for array in arrays:
        base = array.base
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, memoryview):
            base = base.obj
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)
