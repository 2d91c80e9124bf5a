"""The records of a folder's files, one file after the other."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from glane.collection.layouts import SUFFIXES
from glane.collection.remote import is_address, list_address
from glane.collection.rows import Record, Rows

PACKINGS = (".gz", ".bz2", ".xz", ".zst")
"""Of these only the first is read; the others are refused by name, and not passed over."""


class Folder:
    """The records of several files in the order of their names; can be iterated again.

    Attributes:
        path: As it was given.
        name: How messages call it.
    """

    def __init__(self, path: str, files: Sequence[Rows]) -> None:
        """Take the files, in their order; nothing is opened yet."""
        self.path, self.name = path, repr(path)
        self._files = files
        self._begins = [sys.maxsize] * len(files)  # of those that were not reached yet

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Yield a number of each record, rising over all files, and the record; see `Rows`."""
        begin = 0
        for own, rows in enumerate(self._files):
            self._begins[own], number = begin, 0
            for number, record in rows:
                yield begin + number, record
            begin += number

    def place(self, number: int) -> str:
        """Return how messages call a record that was read: `'faq/b.csv', line 7`."""
        own = bisect_left(self._begins, number) - 1
        return self._files[own].place(number - self._begins[own])


DocumentRows = Rows | Folder
"""Of a file, or of a folder of files."""


def open_rows(path: str | Path, *columns: Sequence[str]) -> DocumentRows:
    """Return the rows of a file, or of all files of a folder; no file is opened yet.

    Args:
        path: Of a file or a folder; an address of a folder ends in a slash. Of a folder, files
            are read whose names say a layout, with those of its folders, in the order of their
            names; what begins with a dot or an underscore is passed over.
        columns: As `Rows` takes them.

    Raises:
        OSError: If it is a folder that cannot be read, or without such files.
    """
    given = str(path)
    if is_address(given) and given.endswith("/"):
        below = list_address(given)
    elif Path(given).is_dir():
        files = (each for each in Path(given).rglob("*") if each.is_file())
        below = {each.relative_to(given).as_posix(): str(each) for each in files}
    else:
        return Rows(given, *columns)
    found = [below[name] for name in sorted(below) if _is_read(PurePosixPath(name))]
    if not found:
        raise FileNotFoundError(
            f"{given!r} has no file whose name ends in one of {', '.join(SUFFIXES)}, also with .gz"
        )
    return Folder(given, [Rows(each, *columns) for each in found])


def _is_read(path: PurePosixPath) -> bool:
    suffixes = [each.lower() for each in path.suffixes]
    if suffixes and suffixes[-1] in PACKINGS:
        suffixes.pop()
    is_hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not is_hidden and bool(suffixes) and suffixes[-1] in SUFFIXES
