"""A model's graph on disk, held open."""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from pathlib import Path

from glane.errors import CheckpointError


class GraphFile:
    """A graph on disk, held open: a folder that is replaced or removed does not change it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            CheckpointError: If it is missing.
            OSError: If it cannot be opened.
        """
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise CheckpointError(
                f"{str(path.parent)!r} has no {path.name}; is it an exported model?"
            ) from None
        weakref.finalize(self, os.close, self._descriptor)
        self._digest: bytes | None = None
        self._lock = threading.Lock()

    def read(self) -> bytes:
        """Return its content, the same each time.

        Raises:
            CheckpointError: If it was written to since the first time.
        """
        with open(self._descriptor, "rb", closefd=False) as file, self._lock:
            file.seek(0)
            content = file.read()
        digest = hashlib.sha256(content).digest()
        self._digest = self._digest or digest
        if digest != self._digest:
            raise CheckpointError(f"{str(self.path)!r} was written to since it was opened")
        return content
