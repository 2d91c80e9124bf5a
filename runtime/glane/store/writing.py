"""Commits a state of an index: new files are written and synced, then the manifest is renamed.

Whatever stops the writer, the manifest that is there names whole files, and only a later writer
removes what no manifest names.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from glane.errors import IndexDamaged
from glane.store import files
from glane.store.arrays import file_chunks
from glane.store.columns import columns_of
from glane.store.lock import Lock, writing
from glane.store.manifest import (
    DRAFT,
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
from glane.store.reading import deleted_numbers
from glane.store.segments import Segment, Segments, new_name
from glane.store.sweeping import leave, make_index_folder, manifest_there, sweep, undo

LOG = logging.getLogger("glane")

DELETED_FILES = 8
"""Files of deleted numbers that a table has at most; then they are joined into one."""


@dataclass(frozen=True, slots=True)
class Content:
    """What an index is to hold.

    Attributes:
        settings: What makes the stages that search it, as JSON.
        tables: What is stored, by name.
        copies: Further files by their path in the index, and what yields the content of each;
            one that lies there already is not written again.
    """

    settings: Mapping[str, Any]
    tables: Mapping[str, Segments]
    copies: Mapping[str, Callable[[], Iterator[bytes]]] = field(default_factory=dict)


@contextmanager
def index_folder(folder: str | Path, wait: float = 0) -> Iterator[Lock]:
    """Be the only writer of an index, made where there is none, while the block runs.

    What was made is removed again where the block ends in an error and nothing was committed.

    Args:
        folder: New, empty, or an index.
        wait: Seconds to wait for another writer.

    Raises:
        FileExistsError: If the folder holds something else than an index.
        LockedError: If somebody else is writing to it.
    """
    folder = Path(folder)
    made = make_index_folder(folder)
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(writing(folder, wait))
        except OSError:
            if made and not any(folder.iterdir()):
                files.remove_folder(folder)
            raise
        try:
            yield lock
        except BaseException:
            if made and lock.holds():
                leave(folder)
            raise


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
    with index_folder(folder) as lock:
        return commit(lock, content, seen)


def commit(lock: Lock, content: Content, seen: Manifest | None, name: str = MANIFEST) -> Manifest:
    """Write what is new, and commit.

    Args:
        lock: Of an index, or of an empty folder.
        content: What the index is to hold; segments that it has already are not written again.
        seen: The state that `content` goes on from; None where it replaces what is there.
        name: `MANIFEST`, or `DRAFT` for a state that readers do not see.

    Returns:
        The new state.

    Raises:
        IndexDamaged: If somebody else has written in the meantime, or the manifest that is there
            is damaged or of a newer version.
        CheckpointError: If a model's file was written to since it was opened.
        OSError: If the disk is full or cannot be written to; the index is then as before, or,
            where that happens only after the commit, in the new state.
    """
    folder = lock.folder
    old = manifest_there(folder, name)
    if seen is not None and old != seen:
        found = 0 if old is None else old.generation
        raise IndexDamaged(
            f"{str(folder)!r} was written to since it was opened, at generation "
            f"{seen.generation}: it is at {found}; load it again"
        )
    sweep(lock)
    writer = _Writer(folder, _there(folder, old, name), follows=seen is not None)
    new_manifest = folder / f"{name}.new"
    try:
        new = writer.write(content)
        files.write(new_manifest, [new.to_bytes()])
        files.sync(new_manifest)
    except BaseException as error:
        undo(lock, [*writer.made, new_manifest])
        if isinstance(error, OSError) and error.errno is not None:
            raise type(error)(
                error.errno, f"{error.strerror}; the index is as before", error.filename
            ) from None
        raise
    put_in_place(lock, new, name, anew=seen is None)
    return new


def put_in_place(lock: Lock, new: Manifest, name: str = MANIFEST, *, anew: bool = False) -> None:
    """Let a manifest that is written and synced, as `NAME.new`, take its place: the commit.

    Args:
        lock: Of the index.
        new: The manifest.
        name: `MANIFEST`, or `DRAFT` for a state that readers do not see.
        anew: Whether it does not go on from what was there; a draft, which did, is then removed.
    """
    folder = lock.folder
    files.replace(folder / f"{name}.new", folder / name)
    files.sync_folder(folder)
    if anew and name == MANIFEST and os.path.lexists(folder / DRAFT):
        files.remove(folder / DRAFT)
    sweep(lock)
    if name == MANIFEST:
        LOG.info("committed generation %d of %s", new.generation, folder)
    else:
        LOG.debug("wrote a draft of generation %d of %s", new.generation, folder)


def _there(folder: Path, old: Manifest | None, name: str) -> Manifest:
    """Return what lies in an index already: what its manifest names, or a draft and its manifest.

    Args:
        folder: The index.
        old: The manifest that is to be replaced, if there is one.
        name: Its name.
    """
    if old is not None and name == MANIFEST:
        return old
    index = manifest_there(folder, MANIFEST) or Manifest(0, {}, {}, {})
    if old is None:
        return index
    tables = dict(old.tables)
    for table, entry in index.tables.items():  # written since the draft was begun, perhaps
        own = tables.get(table, TableEntry(0, [], []))
        tables[table] = replace(own, segments=[*own.segments, *entry.segments])
    generation = max(old.generation, index.generation)
    return Manifest(generation, old.settings, tables, {**index.files, **old.files})


def publish(lock: Lock) -> Manifest:
    """Let the draft take the place of the index: the commit of all that was written to it.

    Raises:
        IndexDamaged: If there is none, or it is damaged.
    """
    draft = read_manifest(lock.folder, DRAFT)
    files.replace(lock.folder / DRAFT, lock.folder / MANIFEST)
    files.sync_folder(lock.folder)
    sweep(lock)
    LOG.info("committed generation %d of %s", draft.generation, lock.folder)
    return draft


class _Writer:
    """Writes the files of one commit."""

    def __init__(self, folder: Path, old: Manifest, *, follows: bool) -> None:
        self.folder = folder
        self.old = old
        self.follows = follows
        self.made: list[Path] = []
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
            if part.name in stored:
                self._keep(name, part.name)
            else:
                path = self.folder / segment_path(name, part.name)
                self._file(path, file_chunks({"ids": part.ids, **columns_of(part.arrays)}))
        return TableEntry(
            next_id,
            [SegmentEntry(part.name, part.n_rows, part.n_deleted) for part in parts],
            self._deleted(name, parts, before.deleted if self.follows else []),
        )

    def _deleted(self, name: str, parts: tuple[Segment, ...], before: list[str]) -> list[str]:
        """Return the files of deleted numbers: those there are, and one of the new ones."""
        gone = [part.ids[~part.alive] for part in parts if part.alive is not None]
        deleted = np.concatenate([np.empty(0, np.int64), *gone])
        table = TableEntry(0, [], before)
        known = deleted_numbers(self.folder, self.old, table)
        new = np.setdiff1d(deleted, known)
        if len(before) >= DELETED_FILES or len(known) > 2 * len(deleted):
            before, new = [], deleted
        for file in before:
            self.files[file] = self.old.files[file]
        if not len(new):
            return before
        file = f"segments/{name}-deleted-{new_name()}.safetensors"
        self._file(self.folder / file, file_chunks({"ids": new}))
        return [*before, file]

    def _keep(self, table: str, name: str) -> None:
        path, below = segment_path(table, name), segment_folder(table, name) + "/"
        for file, entry in self.old.files.items():
            if file == path or file.startswith(below):
                self.files[file] = entry

    def _copy(self, name: str, content: Callable[[], Iterator[bytes]]) -> None:
        if name in self.old.files:
            self.files[name] = self.old.files[name]
            return
        path = self.folder / name
        self._make_folder(path.parent.parent)
        self._make_folder(path.parent)
        self._file(path, content())

    def _file(self, path: Path, chunks: Iterator[bytes | memoryview]) -> None:
        counted = Counted()
        self.made.append(path)
        files.write(path, counted.of(chunks))
        files.sync(path)
        name = path.relative_to(self.folder).as_posix()
        self.files[name] = counted.entry
        self.folders.add(path.parent)

    def _make_folder(self, path: Path) -> None:
        if not path.is_dir():
            self.made.append(path)
            files.make_folder(path)
        self.folders.add(path)
