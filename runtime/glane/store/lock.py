"""One writer at a time, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glane.errors import LockedError

LOCK = "lock"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Be the only writer of a folder while the block runs.

    Args:
        folder: An existing folder; the lock is a file in it, empty while nobody writes.

    Raises:
        LockedError: If another process, or another block of this one, is writing; the message
            names it.
    """
    import fcntl  # here, not above: searching works where there is none

    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 200).decode("utf-8", "replace") or "another process"
            raise LockedError(f"{str(folder)!r} is being written to by {owner}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
