"""One writer at a time, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glane.errors import LockedError

LOCK = "lock"

PAUSE = 0.02
"""Seconds between two tries to take a lock that somebody else has."""


class Lock:
    """The writer's lock of a folder, held.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        """Remember which file is locked."""
        self.folder = folder
        self._descriptor = descriptor

    def holds(self) -> bool:
        """Return whether the locked file is still the folder's: it may have been made anew."""
        try:
            there = os.stat(self.folder / LOCK, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))


@contextmanager
def writing(folder: Path, wait: float = 0) -> Iterator[Lock]:
    """Be the only writer of a folder while the block runs.

    Args:
        folder: An existing folder; the lock is a file in it, empty while nobody writes.
        wait: Seconds to wait for another writer, at least 0.

    Raises:
        LockedError: If another process, or another block of this one, is still writing; the
            message names it.
        OSError: If the folder cannot be written to, or its file system has no locks.
    """
    deadline = time.monotonic() + wait
    while True:
        descriptor = _open(folder / LOCK)
        try:
            lock = Lock(folder, descriptor)
            if _taken(descriptor, folder) and lock.holds():
                break
            owner = os.read(descriptor, 200).decode("utf-8", "replace") or "another process"
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise LockedError(f"{str(folder)!r} is being written to by {owner}")
        time.sleep(PAUSE)
    try:
        _name_owner(descriptor)
        yield lock
    finally:
        _write(descriptor, b"")
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the lock's file, made where it is missing; a link is not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "is a link, which a lock may not be", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file, which a lock must be", str(path))
    return descriptor


def _taken(descriptor: int, folder: Path) -> bool:
    """Try to lock an open file; return whether it is ours."""
    import fcntl  # here, not above: searching works where there is none

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            reason = "its file system has no locks; write on a local disk and copy the index"
            raise OSError(error.errno, reason, str(folder)) from None
        raise
    return True


def _name_owner(descriptor: int) -> None:
    from socket import gethostname  # late: only a writer needs it

    _write(descriptor, f"process {os.getpid()} on {gethostname()}".encode())


def _write(descriptor: int, text: bytes) -> None:
    """Say in the lock's file who writes; for people, so a full disk is no reason to stop."""
    if os.fstat(descriptor).st_nlink != 1:  # it has another name, which may not be ours
        return
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
