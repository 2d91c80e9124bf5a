"""What an index leaves behind: removed by its next writer, and nothing of anybody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from glane.store import files
from glane.store.folders import is_there
from glane.store.lock import LOCK, Lock
from glane.store.manifest import DRAFT, MANIFEST, Manifest, read_manifest

WRITTEN = ("segments", "models")
"""Folders in which an index writes."""


def manifest_there(folder: Path, name: str) -> Manifest | None:
    """Return the manifest of that name, none where there is none.

    Raises:
        IndexDamaged: If it is damaged.
    """
    return read_manifest(folder, name) if os.path.lexists(folder / name) else None


def sweep(lock: Lock) -> None:
    """Remove what lies where an index writes, and neither its manifest nor its draft names.

    Nothing is removed where the lock was lost, since the folder is then somebody else's; a link is
    removed, never followed.

    Raises:
        FileExistsError: If `segments` or `models` is a link: what it leads to belongs to others.
    """
    folder = lock.folder
    refuse_links(folder)
    named = {folder / name for name in _files_of(folder, MANIFEST) | _files_of(folder, DRAFT)}
    named |= {parent for path in named for parent in path.parents}
    below = [path for top in WRITTEN for path in _below(folder / top)]
    unnamed = [path for path in sorted(below, reverse=True) if path not in named]
    new = [folder / f"{name}.new" for name in (MANIFEST, DRAFT)]
    unnamed += [path for path in new if os.path.lexists(path)]
    if not unnamed or not lock.holds():
        return
    files.sync_folder(folder)  # the manifest that is there stays there, before others' files go
    _remove(unnamed)


def refuse_links(folder: Path) -> None:
    """Refuse an index whose files lie in somebody else's folder.

    Raises:
        FileExistsError: If `segments` or `models` is a link.
    """
    for top in (folder / name for name in WRITTEN):
        if top.is_symlink():
            raise FileExistsError(
                f"{str(top)!r} is a link; an index that is written to must hold its own files: put "
                "a copy of the folder in its place"
            )


def _files_of(folder: Path, name: str) -> set[str]:
    manifest = manifest_there(folder, name)
    return set() if manifest is None else set(manifest.files)


def _below(top: Path) -> Iterator[Path]:
    """Yield all that lies below a folder, links as they are."""
    if not top.is_dir():
        return
    with os.scandir(top) as entries:
        for entry in entries:
            yield top / entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _below(top / entry.name)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            files.remove_folder(path)
        else:
            files.remove(path)


def undo(lock: Lock, made: Sequence[Path]) -> None:
    """Remove what a failed commit has written, and nothing else."""
    if lock.holds():
        _remove([path for path in reversed(made) if os.path.lexists(path)])


def leave(folder: Path) -> None:
    """Remove a folder that was made for an index, where nothing was committed to it."""
    left = {path.name for path in folder.iterdir()} if folder.is_dir() else {MANIFEST}
    if not left & {MANIFEST, DRAFT} and left <= {LOCK, *WRITTEN}:
        shutil.rmtree(folder, ignore_errors=True)


def make_index_folder(folder: Path) -> bool:
    """Make a folder for an index where there is none; return whether it was made."""
    if not os.path.lexists(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        files.make_folder(folder)
        files.sync_folder(folder.parent)
        return True
    check_is_index(folder)
    return False


def check_is_index(folder: Path) -> None:
    """Refuse a path where something else is than an index, an empty folder, or the rest of one.

    Raises:
        FileExistsError: If something else is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or not _is_ours(folder):
        raise FileExistsError(f"{str(folder)!r} exists already, and is not an index")


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that no index can be made in.

    Raises:
        FileExistsError: If it holds something else than an index, or one that may not be replaced.
    """
    check_is_index(folder)
    if (folder / MANIFEST).exists() and not overwrite:
        raise FileExistsError(is_there(folder))


def _is_ours(folder: Path) -> bool:
    """Return whether a folder is empty, an index, or what a stopped writer left of its first."""
    if (folder / MANIFEST).is_file():
        return True
    left = {path.name for path in folder.iterdir()}
    if left & {"segments", DRAFT}:
        left -= {*WRITTEN, DRAFT, f"{MANIFEST}.new", f"{DRAFT}.new"}
    return left <= {LOCK}
