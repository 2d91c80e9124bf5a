"""Copies one committed state of an index into another folder, while others go on writing.

The files of the state are all opened before the first is copied: what a writer removes meanwhile
stays readable. Every byte is compared with its checksum on the way, and the manifest is renamed
last, as in any commit: the copy is there whole or not at all. What an earlier copy left in the
folder and is still the same is not written again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from glane.errors import CheckpointError, IndexDamaged
from glane.model.model_files import ModelFiles
from glane.model.progress import Bar, bar
from glane.store import files
from glane.store.lock import Lock
from glane.store.manifest import MANIFEST, Counted, FileEntry, Manifest, read_manifest
from glane.store.reading import State, blocks_of, check_file, has_entry, steadily
from glane.store.segments import new_name
from glane.store.stage import record_of
from glane.store.sweeping import check_replaceable, refuse_links, undo
from glane.store.writing import index_folder, put_in_place


class Copied(NamedTuple):
    """What was copied.

    Attributes:
        manifest: The state, as it is in the copy.
        n_written: Files that were written; the others lay there already.
        linked: Folder of each stage's model that the index only names, and the copy holds.
    """

    manifest: Manifest
    n_written: int
    linked: dict[str, str]


class _File(NamedTuple):
    """A file to be copied: what yields its content, and what it must be, if that is known."""

    blocks: Callable[[], Iterator[bytes]]
    entry: FileEntry | None


class _Opened(NamedTuple):
    """A state whose files are held open until `held` is closed."""

    held: ExitStack
    manifest: Manifest
    files: dict[str, _File]
    linked: dict[str, str]


def copy_index(
    source: str | Path,
    target: str | Path,
    *,
    overwrite: bool = False,
    wait: float = 0,
    progress: bool = False,
) -> Copied:
    """Copy the state of an index that was committed last; the copy is an index like any other.

    Nobody is kept from reading or writing the source. Of a model that the source only names, the
    copy holds the files. A draft is not copied.

    Args:
        source: An index.
        target: New, empty, or an index; its readers go on with what they have opened, and find the
            new state when they refresh.
        overwrite: Whether an index that is there may be replaced.
        wait: Seconds to wait for another writer of the target, at least 0.
        progress: Whether a bar runs on standard error where that is a terminal.

    Raises:
        ValueError: If one folder is the other, or lies in it.
        CheckpointError: If the source is not an index, is damaged, or names a model that is gone
            or another than it was; the target is then as before.
        FileExistsError: If the target holds something else than an index, or one that may not be
            replaced.
        LockedError: If somebody else is writing to the target.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    read_manifest(source)
    if source == target or source in target.parents or target in source.parents:
        raise ValueError(
            f"an index is copied into another folder than its own, beside it; got {str(source)!r} "
            f"and {str(target)!r}"
        )
    check_replaceable(target, overwrite=overwrite)
    with index_folder(target, wait) as lock:
        check_replaceable(target, overwrite=overwrite)
        opened = steadily(source, partial(_opened, source))
        n_bytes = sum(entry.n_bytes for entry in opened.manifest.files.values())
        with opened.held, bar(n_bytes, "bytes", progress) as shown:
            return _commit(lock, opened, shown)


def _opened(source: Path, manifest: Manifest) -> _Opened:
    """Open all files of a state.

    Raises:
        CheckpointError: If one is missing, or has another length than it must.
    """
    found: dict[str, _File] = {}
    with ExitStack() as held:
        for name, entry in manifest.files.items():
            path = check_file(source, name, manifest, most=0)
            try:
                file = held.enter_context(path.open("rb"))
            except FileNotFoundError as error:
                raise IndexDamaged(f"{str(path)!r} cannot be read: {error.strerror}") from None
            found[name] = _File(partial(_checked, file, path, entry), entry)
        linked, settings = _linked(manifest), dict(manifest.settings)
        for place, model in linked.items():
            folder, copies = _model(State(source, manifest, {}), place, model)
            settings["models"] = {**settings["models"], place: folder}
            found |= copies
        return _Opened(held.pop_all(), replace(manifest, settings=settings), found, linked)


def _linked(manifest: Manifest) -> dict[str, str]:
    """Return the folders of models that an index only names, by their stages."""
    models = manifest.settings.get("models")
    named = models.items() if isinstance(models, dict) else ()
    return {place: m for place, m in named if isinstance(m, str) and Path(m).is_absolute()}


def _model(state: State, place: str, model: str) -> tuple[str, dict[str, _File]]:
    """Open a model that an index only names; return where it is to lie, and its files.

    Raises:
        CheckpointError: If it is gone, or another than that of the index.
    """
    there = ModelFiles(model)
    wanted = record_of(state, place).get("fingerprint")
    if there.fingerprint != wanted:
        raise CheckpointError(
            f"{str(state.folder)!r} names the model {model!r}, which is {there.fingerprint} now, "
            f"not {wanted}; put back what it was, or index again"
        )
    folder = f"models/{wanted}-{new_name()}"
    contents = there.contents().items()
    return folder, {f"{folder}/{name}": _File(blocks, None) for name, blocks in contents}


def _checked(file: BinaryIO, path: Path, entry: FileEntry) -> Iterator[bytes]:
    """Yield the content of an open file.

    Raises:
        IndexDamaged: At the end, if it was not what it must be.
    """
    file.seek(0)
    counted = Counted()
    yield from counted.of(blocks_of(file))
    if counted.entry != entry:
        raise IndexDamaged(f"{str(path)!r} is damaged: its checksum differs")


def _commit(lock: Lock, opened: _Opened, shown: Bar) -> Copied:
    folder = lock.folder
    refuse_links(folder)
    copier = _Copier(folder, shown)
    new_manifest = folder / f"{MANIFEST}.new"
    try:
        entries = {name: copier.copy(name, file) for name, file in opened.files.items()}
        copier.sync_folders()
        manifest = replace(opened.manifest, files=entries)
        copier.write(new_manifest, [manifest.to_bytes()])
    except BaseException:
        undo(lock, copier.made)
        raise
    put_in_place(lock, manifest, anew=True)
    return Copied(manifest, copier.n_written, opened.linked)


class _Copier:
    """Writes files into a folder, in which an earlier copy may lie."""

    def __init__(self, folder: Path, shown: Bar) -> None:
        self.folder = folder
        self.shown = shown
        self.made: list[Path] = []
        self.folders = {folder}
        self.n_written = 0

    def copy(self, name: str, file: _File) -> FileEntry:
        """Copy a file, unless the same lies there; return its length and checksum."""
        path = self.folder / name
        for parent in reversed(path.relative_to(self.folder).parents[:-1]):
            self._make_folder(self.folder / parent)
        if file.entry is not None and has_entry(path, file.entry):
            self.shown.update(file.entry.n_bytes)
            return file.entry
        self.n_written += 1
        if not os.path.lexists(path):
            return self.write(path, file.blocks())
        beside = path.with_name(f"{path.name}.new")  # readers may have opened the damaged one
        entry = self.write(beside, file.blocks())
        files.replace(beside, path)
        self.made.remove(beside)
        return entry

    def write(self, path: Path, blocks: Iterable[bytes]) -> FileEntry:
        """Write and sync a file; what a stopped writer left there is removed."""
        counted = Counted()
        if os.path.lexists(path):
            files.remove(path)
        self.made.append(path)
        files.write(path, self._shown(counted.of(blocks)))
        files.sync(path)
        self.folders.add(path.parent)
        return counted.entry

    def _shown(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.shown.update(len(block))
            yield block

    def sync_folders(self) -> None:
        """Wait until what was written is named on the disk, from the inside out."""
        for folder in sorted(self.folders, reverse=True):
            files.sync_folder(folder)

    def _make_folder(self, path: Path) -> None:
        if path.is_symlink():  # what it leads to is somebody else's
            files.remove(path)
        if not path.is_dir():
            self.made.append(path)
            files.make_folder(path)
            self.folders |= {path, path.parent}
