"""A model's graph on disk, held open."""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from glane.errors import CheckpointError
from glane.model.checkpoint import file_head
from glane.model.mapped import without_weights

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 20
"""Bytes that are read at once."""

SETTLED_NS = 2_000_000_000
"""Age in nanoseconds from which a file's times tell of every change; the coarsest file systems
keep them to two seconds."""


class GraphFile:
    """A graph on disk, held open: a folder that is replaced or removed does not change it.

    Its content is hashed once, at first use. Whoever reads it later learns whether it was written
    to in place since: by size and times where they can tell, else by hashing it again.

    Attributes:
        path: The file.
        n_bytes: Its size when it was opened.
    """

    def __init__(self, path: Path, head: bytes = b"") -> None:
        """Open it.

        Args:
            path: The file.
            head: What enters the hash ahead of the content.

        Raises:
            CheckpointError: If it is missing, or is not a file.
            OSError: If it cannot be opened.
        """
        if not path.is_file():  # a named pipe would be waited for
            raise CheckpointError(
                f"{str(path.parent)!r} has no {path.name}; is it an exported model?"
            )
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)
        self.n_bytes = os.fstat(self._descriptor).st_size
        self._head = hashlib.sha256(head + file_head(path.name, self.n_bytes))
        self._hash: _Hash | None = None
        self._seen: tuple[int, ...] | None = None
        self._lock, self._moving = threading.Lock(), threading.Lock()

    def hash(self) -> _Hash:
        """Return a copy of the sha256 over head, name, size and content, as read at first."""
        with self._lock:
            if self._hash is None:
                seen = self._stamp()
                self._hash = self._hashed()
                self._seen = seen
            return self._hash.copy()

    def check(self) -> None:
        """Compare the file as it is now with what was hashed.

        Raises:
            CheckpointError: If it was written to since.
        """
        expected = self.hash()
        with self._lock:
            stamp = self._stamp()
            if stamp is None or stamp != self._seen:
                self._compare(self._hashed(), expected)
                self._seen = stamp

    def check_place(self) -> None:
        """Compare the open file with the one at its path, for who must open it there.

        Raises:
            CheckpointError: If there is another by now, or none.
        """
        if not self.is_in_place():
            raise CheckpointError(f"{str(self.path)!r} was replaced since it was opened")

    def is_in_place(self) -> bool:
        """Return whether the file at the path is the open one."""
        try:
            here = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return os.path.samestat(here, os.fstat(self._descriptor))

    def blocks(self) -> Iterator[bytes]:
        """Yield the content as it was hashed, in blocks of `BLOCK` bytes.

        Raises:
            CheckpointError: If it was written to since; the last block is yielded before that is
                known.
        """
        expected, running = self.hash(), self._head.copy()
        for block in self._read():
            running.update(block)
            yield block
        self._compare(running, expected)

    def source(self) -> str | bytes:
        """Return what onnxruntime can load: the open file's name, its content where it has none.

        By name it is read piece by piece: loading 90 MB of weights then takes 120 MB less at its
        peak. `check` tells afterwards whether it was what was hashed.
        """
        name = f"/dev/fd/{self._descriptor}"
        return name if os.path.exists(name) else b"".join(self._read())

    def mapped(self) -> bytes:
        """Return the graph without those weights that are then mapped from the file at its path.

        Returns:
            Nothing where there are none, or where there is another file by now; `check_place`
            tells afterwards whether it still was this one.
        """
        if not self.is_in_place():
            return b""
        try:
            content = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
            return without_weights(memoryview(content), self.path.resolve().name)
        except ValueError:  # no graph, as onnxruntime will say
            return b""

    def _read(self) -> Iterator[bytes]:
        position = 0
        while block := self._read_at(position):
            yield block
            position += len(block)

    def _read_at(self, position: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, BLOCK, position)
        with self._moving:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            return os.read(self._descriptor, BLOCK)

    def _hashed(self) -> _Hash:
        digest = self._head.copy()
        for block in self._read():
            digest.update(block)
        return digest

    def _stamp(self) -> tuple[int, ...] | None:
        """Return size and times, which a later write changes; none while they are too young."""
        status = os.fstat(self._descriptor)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return (status.st_size, *times) if time.time_ns() - max(times) > SETTLED_NS else None

    def _compare(self, found: _Hash, expected: _Hash) -> None:
        if found.digest() != expected.digest():
            raise CheckpointError(f"{str(self.path)!r} was written to since it was opened")
