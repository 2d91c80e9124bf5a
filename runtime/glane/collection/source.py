"""The bytes of a file, a pipe or standard input: unpacked, and as often as they are asked for."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from glane.collection.remote import is_address, open_address, reading

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

STANDARD_INPUT = "-"

GZIP = b"\x1f\x8b"

OTHERS = {
    GZIP: "is packed with gzip twice; unpack it first",
    b"PK\x03\x04": "is a zip archive or an Excel workbook; unpack it, or save it as CSV UTF-8",
    b"PK\x05\x06": "is an empty zip archive",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save it as CSV UTF-8",
    b"BZh": "is packed with bzip2; pass it on with `bzcat FILE |` and - as the file",
    b"\xfd7zXZ\0": "is packed with xz; pass it on with `xzcat FILE |` and - as the file",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; pass it on with `zstdcat FILE |` and - as the file",
    b"%PDF": "is a PDF; expected JSON lines, a JSON array, CSV, TSV or Parquet",
    b"SQLite format 3\0": "is an SQLite database; save the table as CSV",
    b"ARROW1": "is an Arrow file; save it as Parquet",
}
"""How files begin that are not read, and what to do with them."""


class Source:
    """Opens the same bytes again and again; what can be read only once is copied the first time.

    Attributes:
        path: As it was given.
        name: How messages call it.
        is_plain: Whether the file, once it was opened, can be read again and is not packed.
    """

    def __init__(self, path: str | Path) -> None:
        """Take a path, an address, or "-" for standard input; nothing is opened yet."""
        self.path = str(path)
        self.name = "standard input" if self.path == STANDARD_INPUT else repr(self.path)
        self.is_plain = False
        self._copy: int | None = None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it, unpacked where it is packed with gzip; it can be sought in.

        Raises:
            OSError: If it is missing, a folder, or not readable.
            ValueError: If it is of a kind that is not read, or its packing is damaged.
        """
        with self._open() as file, self.unpacking():
            packed = _head(file).startswith(GZIP)
            self.is_plain = self._copy is None and not packed
            with cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file as plain:
                self._refuse_others(_head(plain))
                yield plain

    @contextmanager
    def unpacking(self) -> Iterator[None]:
        """Turn what a damaged gzip, or the library of a store, raises into one line."""
        with reading(self.name) if is_address(self.path) else nullcontext():
            try:
                yield
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"{self.name} is damaged, or cut off: {error}") from None

    def _open(self) -> BinaryIO:
        if self._copy is None:
            file, reads_again = self._file()
            if reads_again:
                return file
            self._keep(file)
        assert self._copy is not None, "it has just been made"
        return io.BufferedReader(_Again(self._copy))

    def _file(self) -> tuple[BinaryIO, bool]:
        """Return the file, and whether it can be read again from its beginning."""
        if self.path == STANDARD_INPUT:
            return open(0, "rb", closefd=False), False
        if is_address(self.path):
            return open_address(self.path)
        file = self._local_file()
        return file, stat.S_ISREG(os.fstat(file.fileno()).st_mode)

    def _local_file(self) -> BinaryIO:
        try:
            return open(self.path, "rb")
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.name} is not a file: nothing is there") from None
        except IsADirectoryError:
            raise IsADirectoryError(f"{self.name} is a folder; expected a file") from None

    def _keep(self, file: BinaryIO) -> None:
        """Copy what can be read only once into a file without a name."""
        with file, tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            self._copy = os.dup(copy.fileno())
        weakref.finalize(self, os.close, self._copy)

    def _refuse_others(self, head: bytes) -> None:
        for begin, what in OTHERS.items():
            if head.startswith(begin):
                raise ValueError(f"{self.name} {what}")


class _Again(io.RawIOBase):
    """A file with a place of its own: many readers share one descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = os.pread(self._descriptor, len(view), self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}
        start = begin[whence] if whence in begin else os.fstat(self._descriptor).st_size
        self._at = start + offset
        return self._at


def _head(file: BinaryIO) -> bytes:
    head = file.read(16)
    file.seek(0)
    return head
