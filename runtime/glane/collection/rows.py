"""The one reader of files of records: documents, queries, judgements and training examples."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from glane.collection.decoding import HEAD, ahead, decoded, lines
from glane.collection.layouts import PARQUET, ROW, Layout, find_layout, suffix_of
from glane.collection.parquet import read_parquet
from glane.collection.parsing import Array, read_array, read_lines
from glane.collection.source import Source
from glane.collection.tables import find_dialect, read_table

Record = dict[str, Any]


class Rows:
    r"""The records of a file, in any of the layouts that people have; can be iterated again.

    One record is in memory at a time, of Parquet a batch. The layouts are JSON lines, a JSON
    array of objects, a table with a header and , ; | or tabs between the cells, and Parquet; all
    but the last in UTF-8, or in what a byte order mark says; all of them also packed with gzip.
    The name says which it is where it ends in .jsonl, .ndjson, .json, .csv, .tsv or .parquet, with
    or without .gz, and the content fits; else the content does. `docs/files.md` has the rules.

    Attributes:
        path: As it was given.
        name: How messages call the file.
        array: Makes a record of a JSON array, or None.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "faq.csv"
    ...     _ = path.write_text("id;text\n7;tea\n")
    ...     list(Rows(path))
    [(2, {'id': '7', 'text': 'tea'})]
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] = (),
        *others: Sequence[str],
        array: Array | None = None,
    ) -> None:
        """Take a file; nothing is opened yet.

        Args:
            path: A file, a pipe, "-" for standard input, or an address such as
                s3://bucket/corpus.jsonl. What cannot be read twice is copied to an unnamed
                temporary file at the first pass.
            columns: Names for the columns of a table with tabs and no header: used where it has as
                many, none of them is in its first row, and that has more than words without
                digits. Quotes are then characters like others.
            others: Names for tables of other widths, likewise.
            array: Makes a record of a JSON array where an object is expected; None refuses it.
        """
        self._source = Source(path)
        self._columns = [each for each in (columns, *others) if each]
        self.array = array
        self._unit = "line"
        self.path, self.name = self._source.path, self._source.name

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        """Yield the line where each record begins, from 1, and the record; of Parquet the row.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If it is of no layout that is read, or a record is malformed; the message
                names file and line.
            ModuleNotFoundError: If it is Parquet, and pyarrow is not installed.
        """
        with self._source.open() as file, self._source.unpacking():
            if _is_parquet(file):
                self._unit = "row"
                yield from read_parquet(file, self.name)
            else:
                yield from self._read_text(file)

    def place(self, number: int) -> str:
        """Return how messages call a record: `'faq.csv', line 7`."""
        return f"{self.name}, {self._unit} {number}"

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of each line that is not blank, for what is laid out otherwise.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If it is not text.
        """
        with self._source.open() as file, self._source.unpacking():
            for number, line in enumerate(lines(decoded(file, self.name), self.name), 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")

    def layout(self) -> Layout | None:
        """Return the layout that the file is taken to have; None where it is blank.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If it is not text, or of a kind that is not read.
        """
        with self._source.open() as file, self._source.unpacking():
            if _is_parquet(file):
                return "parquet"
            head, _, is_all = ahead(decoded(file, self.name))
            return self._layout(head, is_all) if head.strip() else None

    def begin_of_lines(self) -> int | None:
        """Return the byte at which the lines begin where they are the file's own, else None.

        They are its own where the file can be read again, is not packed, and is UTF-8 with one JSON
        value in each line, which a line feed ends.

        Raises:
            OSError: If the file is missing, a folder, or not readable.
            ValueError: If it is not text, or of a kind that is not read.
        """
        with self._source.open() as file, self._source.unpacking():
            if not self._source.is_plain or _is_parquet(file):
                return None
            marked = file.read(len(BOM_UTF8)) == BOM_UTF8
            file.seek(0)
            begin = len(BOM_UTF8) if marked else 0
            head, _, is_all = ahead(decoded(file, self.name))
            if not head.strip() or self._layout(head, is_all) != "lines":
                return None
            file.seek(begin)
            raw = file.read(HEAD)
            is_own = raw.startswith(head[:100].encode("utf-8", "surrogatepass"))
            return begin if is_own and (b"\n" in raw or b"\r" not in raw) else None

    def _read_text(self, file: BinaryIO) -> Iterator[tuple[int, Record]]:
        head, texts, is_all = ahead(decoded(file, self.name))
        if not head.strip():
            return
        layout = self._layout(head, is_all)
        if layout == "lines":
            yield from read_lines(texts, self.name, self.place, self.array)
        elif layout == "array":
            yield from read_array(texts, self.place, self.array)
        else:
            self._check_table(head, is_all)
            yield from read_table(texts, self.place, self.name, self._columns)

    def _layout(self, head: str, is_all: bool) -> Layout:
        if self.array is not None and ROW.match(head.lstrip()):
            return "lines"
        try:
            return find_layout(self._source.path, head, is_all)
        except ValueError as error:
            raise ValueError(f"{self.name} {error}") from None

    def _check_table(self, head: str, is_all: bool) -> None:
        """Refuse lines of plain text, unless the name says that they are a table of one column."""
        is_named = suffix_of(self._source.path) in (".csv", ".tsv")
        if not is_named and not find_dialect(head, is_all).delimiter:
            first = head.lstrip().partition("\n")[0].rstrip()
            raise ValueError(
                f"{self.name} is neither JSON nor a table: its first line has none of , ; | and "
                f"no tab: {first[:60]!r}"
            )


def _is_parquet(file: BinaryIO) -> bool:
    head = file.read(len(PARQUET))
    file.seek(0)
    return head == PARQUET
