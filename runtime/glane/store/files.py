"""Every operation that changes the disk, one function each: tests make any of them fail.

What is written is on the disk once it is synced, and where it is written once its folder is.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder; its parent is there."""
    path.mkdir()


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a new file.

    Raises:
        FileExistsError: If it is there already.
    """
    with path.open("xb") as file, _named(path):
        for chunk in chunks:
            file.write(chunk)
        file.flush()


def sync(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """Wait until what was made, renamed or removed in a folder is so on the disk."""
    _sync(path)


def replace(source: Path, target: Path) -> None:
    """Rename a file over another in the same folder: readers see the old or the new one."""
    os.replace(source, target)


def remove(path: Path) -> None:
    """Remove a file; who has it mapped keeps what it holds."""
    path.unlink()


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    path.rmdir()


def exchange(first: Path, second: Path) -> None:
    """Let two folders have each other's names, at once where the system can do that.

    Where it cannot, the second is put aside for a moment, and back if the first cannot be renamed.
    """
    if not _exchanged(first, second):
        aside = first.with_name(first.name + "-old")
        os.replace(second, aside)
        try:
            os.replace(first, second)
        except BaseException:
            os.replace(aside, second)
            raise
        os.replace(aside, first)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two names by Linux's `renameat2`; return whether it can."""
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in an error of the system that does not: a full disk, say."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
