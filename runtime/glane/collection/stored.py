"""The records of a file, each of which can be read again: in memory is only where they begin."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from glane.collection.decoding import LONGEST, not_text
from glane.collection.parsing import Record, record_of
from glane.collection.rows import Rows

BLOCK = 1 << 20
"""Bytes read at once."""


class Stored:
    """The records of a file by their numbers, from 0; eight bytes a record are in memory.

    JSON lines in a plain file are read where they are, and must stay as they are. Of all other
    layouts, and of what is packed or piped, the first pass writes a copy as JSON lines into an
    unnamed temporary file (`TMPDIR` says where), which ends with the process.

    Attributes:
        name: How messages call the file.
        is_copied: Whether there is such a copy.
        line: Where the first pass is, from 1; of Parquet the row.
    """

    def __init__(self, rows: Rows) -> None:
        """Take a file; nothing is opened yet."""
        self._rows, self.name = rows, rows.name
        self.is_copied, self.line = False, 1
        self._starts = array("q")
        self._file = -1
        self._digest = hashlib.sha256()
        self._was: tuple[int, int] | None = None

    def read(self) -> Iterator[Record]:
        """Yield all records in order, once; after it each can be had by its number.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: As of iterating `Rows`.
        """
        begin = self._rows.begin_of_lines()
        self.is_copied = begin is None
        if begin is None:
            yield from self._copied()
        else:
            yield from self._in_place(begin)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Record:
        """Return a record.

        Raises:
            ValueError: If the file was changed since it was read.
        """
        start, end = self._starts[number], self._starts[number + 1]
        self._check_unchanged()
        line = os.pread(self._file, end - start, start)
        if not self.is_copied:
            return record_of(line.decode("utf-8").strip(), self._rows.array)
        return json.loads(line)[1]  # type: ignore[no-any-return]

    def n_copied(self) -> int:
        """Return the bytes of the copy, 0 where there is none."""
        return self._starts[-1] if self.is_copied else 0

    def place(self, number: int) -> str:
        """Return how messages call a record: `'faq.csv', line 7`."""
        start, end = self._starts[number], self._starts[number + 1]
        if self.is_copied:
            return self._rows.place(json.loads(os.pread(self._file, end - start, start))[0])
        line = 1
        for at in range(0, start, BLOCK):
            line += os.pread(self._file, min(BLOCK, start - at), at).count(b"\n")
        return self._rows.place(line)

    def here(self) -> str:
        """Return the same of the record that the first pass has just given."""
        return self._rows.place(self.line)

    def fingerprint(self) -> bytes:
        """Return the sha256 of all that was read."""
        return self._digest.digest()

    def _in_place(self, begin: int) -> Iterator[Record]:
        """Yield the objects of a file whose lines they are."""
        file = self._keep(open(self._rows.path, "rb", buffering=0))  # noqa: SIM115 (closed with this object)
        self._was = _state(self._file)
        array, at = self._rows.array, begin
        for number, line in enumerate(self._lines(file, begin), 1):
            self.line = number
            try:
                if text := line.decode("utf-8").strip():
                    record = record_of(text, array)
                    self._starts.append(at)
                    yield record
            except UnicodeDecodeError as error:
                raise ValueError(f"{self.here()}: {not_text(error)}") from None
            except ValueError as error:
                raise ValueError(f"{self.here()}: {error}") from None
            at += len(line) + 1
        self._starts.append(at)
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self._was is not None and _state(self._file) != self._was:
            raise ValueError(f"{self.name} was changed while it was in use; begin again")

    def _lines(self, file: BinaryIO, begin: int) -> Iterator[bytes]:
        file.seek(begin)
        rest = b""
        with ThreadPoolExecutor(1, "fingerprint") as thread:
            done = thread.submit(self._digest.update, b"")
            while block := file.read(BLOCK):
                done.result()
                done = thread.submit(self._digest.update, block)
                *whole, rest = (rest + block).split(b"\n")
                yield from whole
                if len(rest) > LONGEST:
                    place = self._rows.place(self.line + 1)
                    raise ValueError(f"{place}: does not end for {LONGEST} characters")
        if rest:
            yield rest

    def _copied(self) -> Iterator[Record]:
        """Yield the records of any file, and write each into the copy."""
        file = self._keep(tempfile.TemporaryFile())  # noqa: SIM115 (likewise)
        at = 0
        for number, record in self._rows:
            self.line = number
            line = json.dumps([number, record], separators=(",", ":")).encode() + b"\n"
            file.write(line)
            self._digest.update(line)
            self._starts.append(at)
            at += len(line)
            yield record
        file.flush()
        self._starts.append(at)

    def _keep(self, file: BinaryIO) -> BinaryIO:
        """Let the file be open for as long as this object is there."""
        self._file = file.fileno()
        weakref.finalize(self, file.close)
        return file


def _state(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns
