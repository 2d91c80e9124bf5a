"""The one writer, reader and mapper of arrays: safetensors files, and single `.npy` files.

A safetensors file holds named arrays: the length of its header (8 bytes, little-endian), the header
(JSON: type, shape and place of each array), and the arrays back to back. Nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError, IndexDamaged
from glane.store.columns import Column, column_of

Array = npt.NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    **{"F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "U64": np.dtype("<u8")},
    **{"F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "U32": np.dtype("<u4")},
    **{"F16": np.dtype("<f2"), "I16": np.dtype("<i2"), "U16": np.dtype("<u2")},
    **{"I8": np.dtype("i1"), "U8": np.dtype("u1"), "BOOL": np.dtype("bool")},
}
"""Types of numbers by their names in a safetensors header."""

NAMES = {dtype: name for name, dtype in DTYPES.items()}

MOST_HEADER = 1 << 20
"""Bytes of a header at most: that of a segment has some hundreds."""

NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>\|b1|\|[iu]1|<[iu][248]|<f[248])', "
    rb"'fortran_order': False, 'shape': \((?P<shape>([0-9]+(, [0-9]+)*,?)?)\), \} *\n",
    re.DOTALL,
)
"""Of an `.npy` of numbers, as numpy writes it; an array of Python objects does not match."""


def file_chunks(arrays: Mapping[str, Array | Column]) -> Iterator[bytes | memoryview]:
    """Yield the content of a safetensors file, a block of an array at a time.

    Arrays of wide numbers come first, so that each begins at a multiple of its width.
    """
    columns = {name: column_of(array) for name, array in arrays.items()}
    ordered = sorted(columns, key=lambda name: (-columns[name].dtype.itemsize, name))
    header, start = {}, 0
    for name in ordered:
        column = columns[name]
        stop = start + math.prod(column.shape) * column.dtype.itemsize
        dtype = NAMES[column.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": column.shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in ordered:
        for block in columns[name].blocks():
            if block.size:
                yield np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


def map_arrays(path: Path) -> dict[str, Array]:
    """Map the arrays of a safetensors file; they hold one open file together.

    Raises:
        IndexDamaged: If the file is missing, or its header is not what its length says.
    """
    return _arrays_in(_mapped(path), path)


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of a small safetensors file; no file stays open.

    Raises:
        IndexDamaged: If the file is missing, or its header is not what its length says.
    """
    try:
        return _arrays_in(path.read_bytes(), path)
    except OSError as error:
        raise IndexDamaged(f"{str(path)!r} cannot be read: {error.strerror}") from None


def _arrays_in(content: bytes | mmap.mmap, path: Path) -> dict[str, Array]:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(MOST_HEADER, len(content) - 8):
        raise _bad_header(path)
    try:
        header = json.loads(content[8 : 8 + size])
        entries = sorted(header.items(), key=lambda pair: pair[1]["data_offsets"])
        arrays: dict[str, Array] = {}
        end = 0
        for name, entry in entries:
            dtype: np.dtype[Any] = DTYPES[entry["dtype"]]
            shape = [int(length) for length in entry["shape"]]
            n_items = math.prod(shape)
            if entry["data_offsets"] != [end, end + n_items * dtype.itemsize] or n_items < 0:
                raise _bad_header(path)
            begin = 8 + size + end
            array = np.frombuffer(content, dtype, n_items, begin) if n_items else np.empty(0, dtype)
            arrays[name] = array.reshape(shape)
            end += n_items * dtype.itemsize
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _bad_header(path) from None
    if 8 + size + end != len(content):
        raise _bad_header(path)
    return arrays


def _bad_header(path: Path) -> IndexDamaged:
    return IndexDamaged(f"{str(path)!r} is damaged: its header does not fit its content")


def _mapped(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"{str(path)!r} cannot be read: {error}") from None


def map_npy(path: Path) -> Array:
    """Map the array of an `.npy` file.

    Numpy's own reader parses the header as Python, which fails now and then where several threads
    do so at once (CPython 3.11, issue 106905), and takes longer than all the rest.

    Raises:
        CheckpointError: If the file is missing or damaged, or holds something else than numbers.
    """
    return npy_in(_mapped(path), str(path))


def npy_in(content: bytes | mmap.mmap, name: str) -> Array:
    """Return the array in the content of an `.npy` file, without a copy.

    Args:
        content: What the file holds.
        name: The file, for messages.

    Raises:
        CheckpointError: If this is not an array of numbers, or of another length than it says.
    """
    found = NPY_HEADER.match(content)
    if found is None:
        raise CheckpointError(f"{name!r} cannot be read: it is not an array of numbers")
    dtype = np.dtype(found["dtype"].decode())
    shape = [int(size) for size in found["shape"].split(b",") if size.strip()]
    if found.end() + math.prod(shape) * dtype.itemsize != len(content):
        raise CheckpointError(f"{name!r} cannot be read: its header is damaged")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype, offset=found.end()).reshape(shape)


def save_arrays(folder: str | Path, **arrays: Array) -> None:
    """Write each array beside and move it into place: it may be mapped from the old file."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        path = Path(folder) / f"{name}.npy"
        new = path.with_suffix(".new.npy")
        np.save(new, np.ascontiguousarray(array), allow_pickle=False)
        os.replace(new, path)


def load_arrays(folder: str | Path, *names: str) -> list[Array]:
    """Map the offsets and the arrays they cut, which must be as long as the offsets say."""
    offsets, *arrays = [map_npy(Path(folder) / f"{name}.npy") for name in names]
    if len(offsets) == 0 or any(len(array) != offsets[-1] for array in arrays):
        raise CheckpointError(f"{str(folder)!r} is damaged: its arrays are of different lengths")
    return [offsets, *arrays]


def read_array(path: Path, *, mapped: bool = True) -> Array:
    """Return an array from a `.npy` file; a pickle is never opened.

    Args:
        path: The file.
        mapped: Whether it is mapped and cannot be written to, or read whole.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    array = map_npy(path)
    return array if mapped else array.copy()
