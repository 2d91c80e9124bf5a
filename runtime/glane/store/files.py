"""Every operation that changes the disk, one function each: tests make any of them fail.

What is written is on the disk once it is synced, and where it is written once its folder is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder; its parent is there."""
    path.mkdir()


def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a new file.

    Raises:
        FileExistsError: If it is there already.
    """
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)


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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
