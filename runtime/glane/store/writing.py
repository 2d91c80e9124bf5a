"""Commits a state of an index: new files are written and synced, then the manifest is renamed.

Whatever stops the writer, the manifest that is there names whole files, and only a later writer
removes what no manifest names.
"""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError
from glane.store import files
from glane.store.arrays import read_array
from glane.store.lock import LOCK, writing
from glane.store.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    SegmentEntry,
    TableEntry,
    read_manifest,
    segment_folder,
)
from glane.store.segments import Segment, Segments, new_name

NEW_MANIFEST = f"{MANIFEST}.new"
DELETED_FILES = 8
"""Files of deleted numbers that a table has at most; then they are joined into one."""

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """What an index is to hold.

    Attributes:
        settings: What makes the stages that search it, as JSON.
        tables: What is stored, by name.
        copies: Further files by their path in the index, and where they are copied from.
    """

    settings: Mapping[str, Any]
    tables: Mapping[str, Segments]
    copies: Mapping[str, Path] = field(default_factory=dict)


def save(folder: str | Path, content: Content, seen: Manifest | None = None) -> Manifest:
    """Commit, as the only writer; where this fails at first, the folder is not left behind.

    Args:
        folder: New, empty, or an index.
        content: What it is to hold.
        seen: As in `commit`, which also tells of the result and of the errors.

    Raises:
        FileExistsError: If the folder holds something else than an index.
        LockedError: If somebody else is writing to it.
    """
    folder = Path(folder)
    made = _make_index_folder(folder)
    with writing(folder):
        try:
            return commit(folder, content, seen)
        except BaseException:
            if made and not (folder / MANIFEST).exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise


def commit(folder: Path, content: Content, seen: Manifest | None) -> Manifest:
    """Write what is new, and commit; the caller is the only writer.

    Args:
        folder: An index, or an empty folder.
        content: What the index is to hold; segments that it has already are not written again.
        seen: The state that `content` goes on from; None where it replaces what is there.

    Returns:
        The new state.

    Raises:
        CheckpointError: If somebody else has written in the meantime, or the manifest that is
            there is damaged or of a newer version.
        OSError: If the disk is full or cannot be written to; the index is then as before, or,
            where that happens only after the commit, in the new state.
    """
    old = read_manifest(folder) if (folder / MANIFEST).exists() else None
    if seen is not None and old != seen:
        found = 0 if old is None else old.generation
        raise CheckpointError(
            f"{str(folder)!r} was written to since it was opened, at generation "
            f"{seen.generation}: it is at {found}; load it again"
        )
    _sweep(folder, old)
    try:
        new = _Writer(folder, old, follows=seen is not None).write(content)
        files.write(folder / NEW_MANIFEST, [new.to_bytes()])
        files.sync(folder / NEW_MANIFEST)
    except BaseException:
        _sweep(folder, old)
        raise
    files.replace(folder / NEW_MANIFEST, folder / MANIFEST)
    files.sync_folder(folder)
    _sweep(folder, new)
    return new


class _Writer:
    """Writes the files of one commit."""

    def __init__(self, folder: Path, old: Manifest | None, *, follows: bool) -> None:
        self.folder = folder
        self.old = Manifest(0, {}, {}, {}) if old is None else old
        self.follows = follows
        self.files: dict[str, FileEntry] = {}
        self.folders: set[Path] = set()

    def write(self, content: Content) -> Manifest:
        """Write what is new, and return the manifest, which is not yet written."""
        self._make_folder(self.folder / "segments")
        tables = {name: self._table(name, rows) for name, rows in content.tables.items()}
        for name, source in content.copies.items():
            self._copy(name, source)
        # Files before their folders, folders from the inside out: nothing is named before it is.
        for folder in sorted(self.folders, reverse=True):
            files.sync_folder(folder)
        files.sync_folder(self.folder)
        settings = json.loads(json.dumps(content.settings))  # as they will be read
        return Manifest(self.old.generation + 1, settings, tables, self.files)

    def _table(self, name: str, segments: Segments) -> TableEntry:
        parts, next_id = segments.parts, segments.next_id
        before = self.old.tables.get(name, TableEntry(0, [], []))
        stored = {entry.name for entry in before.segments}
        for part in parts:
            below = segment_folder(name, part.name)
            if part.name in stored:
                self._keep(below)
            else:
                self._segment(self.folder / below, part)
        return TableEntry(
            next_id,
            [SegmentEntry(part.name, part.n_rows, part.n_deleted) for part in parts],
            self._deleted(name, parts, before.deleted if self.follows else []),
        )

    def _deleted(self, name: str, parts: tuple[Segment, ...], before: list[str]) -> list[str]:
        """Return the files of deleted numbers: those there are, and one of the new ones."""
        nothing = np.empty(0, np.int64)
        gone = [part.ids[~part.alive] for part in parts if part.alive is not None]
        deleted = np.concatenate([nothing, *gone])
        known = np.concatenate([nothing, *(read_array(self.folder / file) for file in before)])
        new = np.setdiff1d(deleted, known)
        if len(before) >= DELETED_FILES or len(known) > 2 * len(deleted):
            before, new = [], deleted
        for file in before:
            self.files[file] = self.old.files[file]
        if not len(new):
            return before
        file = f"segments/{name}-deleted-{new_name()}.npy"
        self._array(self.folder / file, new)
        return [*before, file]

    def _segment(self, folder: Path, part: Segment) -> None:
        self._make_folder(folder)
        self._array(folder / "ids.npy", part.ids)
        for name, array in part.arrays.items():
            self._array(folder / f"{name}.npy", array)

    def _keep(self, below: str) -> None:
        self.files |= {
            name: entry for name, entry in self.old.files.items() if name.startswith(f"{below}/")
        }

    def _copy(self, name: str, source: Path) -> None:
        if name in self.old.files:
            self.files[name] = self.old.files[name]
            return
        path = self.folder / name
        self._make_folder(path.parent.parent)
        self._make_folder(path.parent)
        self._file(path, _blocks(source))

    def _array(self, path: Path, array: npt.NDArray[Any]) -> None:
        header = io.BytesIO()
        array = np.ascontiguousarray(array)
        description = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(header, description)
        self._file(path, iter([header.getvalue(), array.reshape(-1).view(np.uint8).data]))

    def _file(self, path: Path, chunks: Iterator[bytes | memoryview]) -> None:
        n_bytes = checksum = 0

        def counted() -> Iterator[bytes | memoryview]:
            nonlocal n_bytes, checksum
            for chunk in chunks:
                n_bytes += len(chunk)
                checksum = zlib.crc32(chunk, checksum)
                yield chunk

        files.write(path, counted())
        files.sync(path)
        name = path.relative_to(self.folder).as_posix()
        self.files[name] = FileEntry(n_bytes, checksum)
        self.folders.add(path.parent)

    def _make_folder(self, path: Path) -> None:
        if not path.is_dir():
            files.make_folder(path)
        self.folders.add(path)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            yield block


def _sweep(folder: Path, manifest: Manifest | None) -> None:
    """Remove what lies where an index writes, and the manifest does not name."""
    named = set() if manifest is None else {folder / name for name in manifest.files}
    named |= {parent for path in named for parent in path.parents}
    below = [path for top in ("segments", "models") for path in (folder / top).rglob("*")]
    unnamed = [path for path in sorted(below, reverse=True) if path not in named]
    unnamed += [path for path in [folder / NEW_MANIFEST] if path.exists()]
    if unnamed:
        files.sync_folder(folder)  # the manifest that is there stays there, before others' files go
    for path in unnamed:
        if path.is_dir() and not path.is_symlink():
            files.remove_folder(path)
        else:
            files.remove(path)


def _make_index_folder(folder: Path) -> bool:
    """Make a folder for an index where there is none; return whether it was made."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        files.make_folder(folder)
        files.sync_folder(folder.parent)
        return True
    if not folder.is_dir() or not _is_ours(folder):
        raise FileExistsError(f"{str(folder)!r} exists already, and is no index")
    return False


def _is_ours(folder: Path) -> bool:
    """Return whether a folder is empty, an index, or what a stopped writer left of its first."""
    if (folder / MANIFEST).is_file():
        return True
    left = {path.name for path in folder.iterdir()}
    if "segments" in left:
        left -= {"segments", "models", NEW_MANIFEST}
    return left <= {LOCK}
