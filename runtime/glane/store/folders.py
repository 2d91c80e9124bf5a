"""Folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glane.errors import option
from glane.store import files


@contextmanager
def new_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that takes its place at `path` when the block ends without an error.

    Until then it lies hidden beside; after an error, or Ctrl-C, nothing of it stays.

    Args:
        path: Where the folder is to be; its parents are made, and a link is followed.
        overwrite: Whether a folder that is there may be replaced.

    Raises:
        FileExistsError: If `path` exists and may not be replaced; raised before the block runs,
            or after it where somebody else made `path` in the meantime.
    """
    check_new(path, overwrite=overwrite)
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        _sync_all(temporary)
        check_new(path, overwrite=overwrite)
        if path.exists():
            files.exchange(temporary, path)
        else:
            os.replace(temporary, path)
        files.sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync_all(folder: Path) -> None:
    """Wait until all that lies below a folder is on the disk, files before their folders."""
    for below, _, names in os.walk(folder, topdown=False):
        for name in names:
            files.sync(Path(below) / name)
        files.sync_folder(Path(below))


def check_new(
    path: str | Path, *, overwrite: bool = False, argument: str = "overwrite=True"
) -> None:
    """Refuse a path where something is already.

    Args:
        path: Where a folder is to be.
        overwrite: Whether a folder that is there may be replaced.
        argument: What a caller of the library passes for that, for the message.

    Raises:
        FileExistsError: If `path` exists, unless it is a folder and may be replaced.
    """
    if Path(path).exists() and not (overwrite and Path(path).is_dir()):
        raise FileExistsError(is_there(path, argument))


def is_there(path: str | Path, argument: str = "overwrite=True") -> str:
    """Return the message of a path that is there and may not be replaced."""
    how = option("overwrite", argument)
    return f"{str(path)!r} exists already; pass {how} to replace it"


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
