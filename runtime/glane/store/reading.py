"""Opens an index: reads the manifest, maps the arrays, and keeps that state whatever is written."""

from __future__ import annotations

import math
import mmap
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError
from glane.store.manifest import (
    FileEntry,
    Manifest,
    SegmentEntry,
    read_manifest,
    segment_folder,
)
from glane.store.segments import Parts, Segment, Segments
from glane.types import Ids

HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>\|b1|\|[iu]1|<[iu][248]|<f[248])', "
    rb"'fortran_order': False, 'shape': \((?P<shape>([0-9]+(, [0-9]+)*,?)?)\), \} *\n",
    re.DOTALL,
)
"""Of an `.npy` of numbers, as numpy writes it; an array of Python objects is none."""

TRIES = 100
"""How often opening begins anew because a writer removed what it was about to read."""


@dataclass(frozen=True, slots=True)
class State:
    """One state of an index, opened; later writes do not touch it.

    Attributes:
        folder: The index.
        manifest: What it is made of.
        parts: The segments of each table, mapped.
    """

    folder: Path
    manifest: Manifest
    parts: Mapping[str, Parts]

    def fill(self, name: str, segments: Segments) -> None:
        """Put a table into an empty `Segments`.

        Raises:
            CheckpointError: If the index has no such table.
        """
        if name not in self.parts:
            raise CheckpointError(f"{str(self.folder)!r} is damaged: it has no {name}")
        segments.fill(self.parts[name], self.manifest.tables[name].next_id)


def open_state(folder: str | Path) -> State:
    """Open the state that was committed last.

    Raises:
        CheckpointError: If the index is missing or of another version, or a file is missing, of
            another length, or no array.
    """
    folder = Path(folder)
    for _ in range(TRIES):
        manifest = read_manifest(folder)
        try:
            return State(folder, manifest, _map(folder, manifest))
        except CheckpointError:
            if read_manifest(folder) == manifest:
                raise
    raise _too_fast(folder)


def damaged_files(folder: str | Path) -> list[str]:
    """Return the paths of files whose content is not what was written.

    Raises:
        CheckpointError: If the manifest itself is missing or damaged.
    """
    folder = Path(folder)
    for _ in range(TRIES):
        manifest = read_manifest(folder)
        entries = manifest.files.items()
        damaged = [str(folder / name) for name, entry in entries if _entry(folder / name) != entry]
        if not damaged or read_manifest(folder) == manifest:
            return damaged
    raise _too_fast(folder)


def _too_fast(folder: Path) -> CheckpointError:
    return CheckpointError(f"{str(folder)!r} is written to faster than it can be read")


def check_size(folder: Path, name: str, manifest: Manifest) -> Path:
    """Return the path of a file that is as long as the manifest says.

    Raises:
        CheckpointError: If it is missing or of another length.
    """
    path, wanted = folder / name, manifest.files[name].n_bytes
    try:
        found = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if found != wanted:
        raise CheckpointError(f"{str(path)!r} is damaged: it has {found} bytes, not {wanted}")
    return path


def _map(folder: Path, manifest: Manifest) -> dict[str, Parts]:
    files: dict[str, list[str]] = {}
    for name in manifest.files:
        files.setdefault(name.rpartition("/")[0], []).append(name)

    def arrays(below: str) -> dict[str, npt.NDArray[Any]]:
        checked = [check_size(folder, name, manifest) for name in files[below]]
        return {path.stem: _array(path) for path in checked}

    parts = {}
    for name, table in manifest.tables.items():
        deleted = [_array(check_size(folder, file, manifest)) for file in table.deleted]
        gone = np.concatenate([np.empty(0, np.int64), *deleted])
        parts[name] = tuple(
            _segment(entry, arrays(segment_folder(name, entry.name)), gone)
            for entry in table.segments
        )
    return parts


def _array(path: Path) -> npt.NDArray[Any]:
    """Map an array.

    Numpy's own reader parses the header as Python, which fails now and then where several threads
    do so at once (CPython 3.11, issue 106905), and takes longer than all the rest.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    found = HEADER.match(mapped)
    if found is None:
        raise CheckpointError(f"{str(path)!r} cannot be read: it is no array of an index")
    dtype = np.dtype(found["dtype"].decode())
    shape = [int(size) for size in found["shape"].split(b",") if size.strip()]
    if found.end() + math.prod(shape) * dtype.itemsize != len(mapped):
        raise CheckpointError(f"{str(path)!r} cannot be read: its header is damaged")
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.frombuffer(mapped, dtype, offset=found.end()).reshape(shape)


def _segment(entry: SegmentEntry, arrays: dict[str, npt.NDArray[Any]], gone: Ids) -> Segment:
    segment = Segment(arrays.pop("ids"), arrays, name=entry.name)
    if not entry.n_deleted:
        return segment
    rows = np.searchsorted(segment.ids, gone)
    known = rows < segment.n_rows
    known[known] = segment.ids[rows[known]] == gone[known]
    return segment.without(rows[known])


def _entry(path: Path) -> FileEntry | None:
    """Return length and checksum of a file, none where it cannot be read."""
    n_bytes = checksum = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                n_bytes += len(block)
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return None
    return FileEntry(n_bytes, checksum)
