"""Opens an index: reads the manifest, maps the arrays, and keeps that state whatever is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError, IndexDamaged
from glane.store.arrays import map_arrays, map_npy, read_arrays
from glane.store.manifest import (
    MANIFEST,
    Counted,
    FileEntry,
    Manifest,
    SegmentEntry,
    TableEntry,
    read_manifest,
    segment_folder,
    segment_path,
)
from glane.store.segments import Parts, Segment, Segments
from glane.types import Ids

TRIES = 100
"""How often opening begins anew because a writer removed what it was about to read."""

CHECKED_BYTES = 1 << 20
"""Files up to this length are compared with their checksum when they are opened."""

BLOCK_BYTES = 1 << 20
"""Bytes of a file that are read at once."""

Made = TypeVar("Made")


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
        """Put a table into a `Segments`.

        Raises:
            IndexDamaged: If the index has no such table.
        """
        if name not in self.parts:
            raise IndexDamaged(f"{str(self.folder)!r} is damaged: it has no {name}")
        segments.fill(self.parts[name], self.manifest.tables[name].next_id)


def open_state(
    folder: str | Path, known: State | None = None, name: str = MANIFEST, verify: bool = False
) -> State:
    """Open the state that was committed last.

    Of every file the length is compared with the manifest's, and the checksum of those of at most
    `CHECKED_BYTES`; longer ones are checked by their header.

    Args:
        folder: The index.
        known: A state that was opened before: segments that it has are not opened again.
        name: The manifest's name.
        verify: Whether every file is read whole and compared with its checksum.

    Raises:
        IndexDamaged: If the index is missing or of another version, or a file is missing or
            damaged.
    """
    return steadily(Path(folder), lambda manifest: _open(folder, manifest, known, verify), name)


def reopen(folder: Path, known: State | None, name: str = MANIFEST) -> State:
    """Open the state that was just committed; of `known`, what it has is not opened again."""
    return open_state(folder, known, name)


def steadily(folder: Path, make: Callable[[Manifest], Made], name: str = MANIFEST) -> Made:
    """Return what is made of the state committed last, begun anew where a writer comes between.

    Args:
        folder: The index.
        make: Called with the manifest; an error of it counts where no newer state is there.
        name: The manifest's name.

    Raises:
        CheckpointError: What `make` raised, or that the index is written to all the time.
    """
    for _ in range(TRIES):
        manifest = read_manifest(folder, name)
        try:
            return make(manifest)
        except CheckpointError:
            if read_manifest(folder, name) == manifest:
                raise
    raise _too_fast(folder)


def _open(folder: str | Path, manifest: Manifest, known: State | None, verify: bool) -> State:
    folder = Path(folder)
    if verify and (damaged := _damaged(folder, manifest)):
        raise IndexDamaged(f"{str(folder)!r} is damaged: {', '.join(damaged)}")
    before = {} if known is None or known.folder != folder else known.parts
    parts = {
        name: _table(
            folder, manifest, name, table, {part.name: part for part in before.get(name, ())}
        )
        for name, table in manifest.tables.items()
    }
    return State(folder, manifest, parts)


def damaged_files(folder: str | Path) -> list[str]:
    """Return the paths of files whose content is not what was written.

    Raises:
        IndexDamaged: If the manifest itself is missing or damaged.
    """
    folder = Path(folder)
    for _ in range(TRIES):
        manifest = read_manifest(folder)
        damaged = _damaged(folder, manifest)
        if not damaged or read_manifest(folder) == manifest:
            return damaged
    raise _too_fast(folder)


def _damaged(folder: Path, manifest: Manifest) -> list[str]:
    entries = manifest.files.items()
    return [str(folder / name) for name, entry in entries if _entry(folder / name) != entry]


def _too_fast(folder: Path) -> IndexDamaged:
    return IndexDamaged(f"{str(folder)!r} is written to faster than it can be read")


def check_file(
    folder: Path, name: str, manifest: Manifest, most: int | None = CHECKED_BYTES
) -> Path:
    """Return the path of a file that is as long as the manifest says, and undamaged if it is short.

    Args:
        folder: The index.
        name: Path in the index.
        manifest: What the file must be.
        most: Longest file that is read and compared with its checksum; None for any.

    Raises:
        IndexDamaged: If it is missing, of another length, or damaged.
    """
    path, wanted = folder / name, manifest.files[name]
    try:
        found = path.stat().st_size
    except OSError as error:
        raise IndexDamaged(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if found != wanted.n_bytes:
        raise IndexDamaged(f"{str(path)!r} is damaged: it has {found} bytes, not {wanted.n_bytes}")
    if (most is None or found <= most) and _entry(path) != wanted:
        raise IndexDamaged(f"{str(path)!r} is damaged: its checksum differs")
    return path


def _table(
    folder: Path,
    manifest: Manifest,
    name: str,
    table: TableEntry,
    known: Mapping[str, Segment],
) -> Parts:
    changed = [
        entry
        for entry in table.segments
        if entry.name not in known or known[entry.name].n_deleted != entry.n_deleted
    ]
    gone = np.empty(0, np.int64)
    if any(entry.n_deleted for entry in changed):
        gone = deleted_numbers(folder, manifest, table)
    opened = {
        entry.name: _segment(folder, manifest, name, entry, gone, known.get(entry.name))
        for entry in changed
    }
    return tuple(opened.get(entry.name) or known[entry.name] for entry in table.segments)


def deleted_numbers(folder: Path, manifest: Manifest, table: TableEntry) -> Ids:
    """Return the numbers in a table's files of deleted rows.

    Raises:
        IndexDamaged: If a file is missing or damaged.
    """
    numbers = [np.empty(0, np.int64)]
    for file in table.deleted:
        path = check_file(folder, file, manifest, most=None)
        own = map_npy(path) if path.suffix == ".npy" else read_arrays(path).get("ids")
        if own is None or own.dtype != np.int64 or own.ndim != 1:
            raise IndexDamaged(f"{str(path)!r} is damaged: it does not hold numbers of rows")
        numbers.append(own)
    return np.concatenate(numbers)


def _segment(
    folder: Path,
    manifest: Manifest,
    table: str,
    entry: SegmentEntry,
    gone: Ids,
    known: Segment | None,
) -> Segment:
    if known is None:
        arrays = _arrays(folder, manifest, table, entry)
        ids = _ids(arrays.pop("ids", None), entry, folder, table)
        segment = Segment(ids, arrays, name=entry.name, in_memory=False)
    else:
        segment = replace(known, alive=None, n_deleted=0)
    if not entry.n_deleted:
        return segment
    rows = np.searchsorted(segment.ids, gone)
    found = rows < segment.n_rows
    found[found] = segment.ids[rows[found]] == gone[found]
    rows = np.unique(rows[found])
    if len(rows) != entry.n_deleted:
        raise IndexDamaged(
            f"{str(folder)!r} is damaged: {len(rows)} rows of {table}-{entry.name} are marked as "
            f"deleted, not {entry.n_deleted}"
        )
    return segment.without(rows)


def _arrays(
    folder: Path, manifest: Manifest, table: str, entry: SegmentEntry
) -> dict[str, npt.NDArray[Any]]:
    name = segment_path(table, entry.name)
    if name in manifest.files:
        return map_arrays(check_file(folder, name, manifest))
    below = segment_folder(table, entry.name) + "/"
    names = [name for name in manifest.files if name.startswith(below)]
    paths = [check_file(folder, name, manifest) for name in names]
    return {path.stem: map_npy(path) for path in paths}


def _ids(ids: npt.NDArray[Any] | None, entry: SegmentEntry, folder: Path, table: str) -> Ids:
    if ids is None or ids.shape != (entry.n_rows,) or ids.dtype != np.int64:
        raise IndexDamaged(
            f"{str(folder)!r} is damaged: {table}-{entry.name} does not have {entry.n_rows} rows"
        )
    return ids


def has_entry(path: Path, entry: FileEntry) -> bool:
    """Return whether a file, and no link, is there that has this length and checksum."""
    return path.is_file() and not path.is_symlink() and _entry(path) == entry


def _entry(path: Path) -> FileEntry | None:
    """Return length and checksum of a file, none where it cannot be read."""
    counted = Counted()
    try:
        with path.open("rb") as file:
            for _ in counted.of(blocks_of(file)):
                pass
    except OSError:
        return None
    return counted.entry


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of an open file, a block at a time."""
    while block := file.read(BLOCK_BYTES):
        yield block
