"""Tables: CSV and TSV, with a header or without, and any of , ; | and tabs between the cells."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from glane.collection.decoding import LONGEST, ahead, lines
from glane.collection.messages import Place, listed

DELIMITERS = "\t;,|"

SAMPLE = 100
"""Rows that the delimiter is chosen by."""

TOLD = re.compile(r"\s*sep=(.)[^\S\n]*\n", re.IGNORECASE)
"""The line by which spreadsheets tell one another the delimiter."""

WORDS = re.compile(r"\s*[^\W\d]{1,30}(?:[ .:-][^\W\d]{1,30})?\s*")
"""A cell that may name a column: a word or two, without digits."""

MEANT = {
    "unexpected end": "a quoted cell begins here and does not end",
    "field larger": "a quoted cell begins here and does not end",
    "new-line": "a carriage return in a cell that is not quoted",
    "'": "a quote inside a quoted cell must be doubled",
}
"""What the errors of the csv module mean, by how they begin."""


class Dialect(NamedTuple):
    """How the cells of a table are told apart.

    Attributes:
        delimiter: What is between them; empty where nothing is, and each line is one cell.
        quoted: Whether a cell may be in double quotes; else a quote is a character like others.
        n_told: Lines before the first row that say what the delimiter is.
    """

    delimiter: str
    quoted: bool
    n_told: int


class Header(NamedTuple):
    """The columns of a table.

    Attributes:
        names: Their names; columns at the end that have none are left out.
        width: How many columns there are.
        is_row: Whether the names are the first row of the table.
    """

    names: Sequence[str]
    width: int
    is_row: bool


def read_table(
    texts: Iterator[str], place: Place, name: str, columns: Sequence[Sequence[str]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line where each row begins, and its cells by their columns.

    Blank lines, and rows of nothing but empty cells, are passed over.

    Args:
        texts: The text.
        place: How messages call a line.
        name: How they call the file.
        columns: Names for the columns of a table with tabs and no header, by how many there are.

    Raises:
        ValueError: If a column appears twice, or a row has another count of cells.
    """
    head, texts, is_all = ahead(texts, whole_line=True)
    dialect = find_dialect(head, is_all)
    first = next(_rows(lines(iter([head]), name), dialect, place), None)
    if first is None:
        return
    header = _header(*first, columns if dialect.delimiter == "\t" else (), place)
    if not header.is_row:
        dialect = dialect._replace(quoted=False)
    rows = _rows(lines(texts, name), dialect, place)
    for number, cells in islice(rows, int(header.is_row), None):
        yield number, _record(cells, header, place(number))


def find_dialect(head: str, is_all: bool) -> Dialect:
    """Return how the cells of a table are told apart, by its beginning.

    Between tabs, quotes are characters like others where they are not closed and doubled as CSV
    has it.
    """
    _allow_long_cells()
    if told := TOLD.match(head):
        return Dialect(told[1], True, told[0].count("\n"))
    whole = head if is_all else head[: head.rfind("\n") + 1] or head
    found = {mark: _widths(whole, mark, is_all) for mark in DELIMITERS}
    split = {mark: widths for mark, widths in found.items() if widths[:1] > [1]}
    best = max(split, key=lambda mark: (_same(split[mark]), mark == "\t", split[mark]), default="")
    return Dialect(best, best != "\t" or _has_quotes(whole, is_all), 0)


def is_table(head: str, is_all: bool) -> bool:
    """Return whether a text looks like a table: two rows and two columns at least."""
    delimiter = find_dialect(head, is_all).delimiter
    widths = _widths(head, delimiter, is_all) if delimiter else []
    return len(widths) > 1 and _same(widths)


def _widths(head: str, delimiter: str, is_all: bool) -> list[int]:
    """Return how many cells each row has; the last may be cut off and is left out then."""
    reader = csv.reader(head.splitlines(keepends=True), delimiter=delimiter)
    try:
        widths = [len(row) for row in islice(reader, SAMPLE) if any(row)]
    except csv.Error:
        return []
    return widths if is_all or len(widths) < 2 else widths[:-1]


def _same(widths: Sequence[int]) -> bool:
    return len(set(widths)) == 1


def _has_quotes(head: str, is_all: bool) -> bool:
    """Return whether quotes around cells between tabs are what CSV means by them."""
    written = [line for line in head.split("\n") if line.strip()]
    whole = written if is_all else written[:-1]
    plain = {line.count("\t") for line in whole}
    if len(plain) != 1:
        return True  # cells over several lines, or ragged rows
    try:
        rows = [len(row) - 1 for row in csv.reader(whole, delimiter="\t", strict=True)]
        return len(rows) == len(whole) and set(rows) == plain
    except csv.Error:
        return False


def _header(
    number: int, first: list[str], columns: Sequence[Sequence[str]], place: Place
) -> Header:
    cells = {cell.strip() for cell in first}
    for names in columns:
        is_header = bool(cells.intersection(names)) or all(map(WORDS.fullmatch, first))
        if len(names) == len(first) and not is_header:
            return Header(names, len(first), False)
    names = [cell.strip() for cell in first]
    while not names[-1]:
        names.pop()
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{place(number)}: the column {name!r} appears twice")
    return Header(names, len(first), True)


def _record(cells: list[str], header: Header, place: str) -> dict[str, str]:
    if len(cells) != header.width:
        raise ValueError(
            f"{place}: has {len(cells)} cells, but there are {header.width} columns, "
            f"{listed(header.names)}"
        )
    if any(beyond := cells[len(header.names) :]):
        raise ValueError(f"{place}: has cells in columns without a name: {beyond}")
    return dict(zip(header.names, cells, strict=False))


def _rows(text: Iterator[str], dialect: Dialect, place: Place) -> Iterator[tuple[int, list[str]]]:
    cut = _quoted if dialect.quoted and dialect.delimiter else _plain
    for number, cells in cut(text, dialect.delimiter, place):
        is_blank = not any(cells) or (len(cells) == 1 and not cells[0].strip())
        if not is_blank and number > dialect.n_told:
            yield number, cells


def _plain(text: Iterator[str], delimiter: str, _: Place) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text, 1):
        cells = line.rstrip("\r\n")
        yield number, cells.split(delimiter) if delimiter else [cells]


def _quoted(text: Iterator[str], delimiter: str, place: Place) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{place(number)}: {_meant(str(error))}") from None
        if delimiter == "\t" and any("\t" in cell and "\n" in cell for cell in cells):
            raise ValueError(
                f"{place(number)}: a cell begins with a quote and goes on over the rows to line "
                f"{reader.line_num}; double the quotes that are text, or quote no cell"
            )
        yield number, cells


def _allow_long_cells() -> None:
    """Raise the limit of the whole process, which is too low for documents."""
    if csv.field_size_limit() < LONGEST:
        csv.field_size_limit(LONGEST)


def _meant(error: str) -> str:
    return next((meant for begin, meant in MEANT.items() if error.startswith(begin)), error)
