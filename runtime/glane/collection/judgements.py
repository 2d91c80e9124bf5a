"""Judgements: which documents answer a query, as BEIR, TREC and tables have them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glane.collection.messages import listed
from glane.collection.records import as_key
from glane.collection.rows import Rows

NAMES = (
    {"query-id", "query_id", "queryid", "qid", "query", "topic", "topic_id"},
    {"corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "document", "document_id"}
    | {"document-id", "passage_id", "passage-id", "pid"},
    {"score", "grade", "relevance", "rel", "label", "judgement", "judgment"},
)
"""What the columns of query, document and grade are called."""

WITHOUT_HEADER = {3: (0, 1, 2), 4: (0, 2, 3)}
"""Where the three are among three columns, and among TREC's four."""

GRADE = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0*)?\s*", re.ASCII)

EXPECTED = "expected query-id, corpus-id, score, or TREC's query, 0, document, grade"


class Judged(NamedTuple):
    """What a file of judgements holds.

    Attributes:
        judgements: Grade of each judged document by query id and document id.
        n_contradicting: Judgements with another grade than one before; the last counts.
    """

    judgements: dict[str, dict[str, int]]
    n_contradicting: int


def read_judgements(path: str | Path) -> Judged:
    """Read judgements: BEIR's three columns, TREC's four, or records with these fields.

    Columns are between tabs, white space or any of , ; | with a header or without. A
    judgement that appears again counts as it is there last, as readers for trec_eval have it.

    Raises:
        OSError: If the file is missing, a folder, or not readable.
        ValueError: If a line is malformed, or there is none; the message names file and line.
    """
    rows = Rows(path)
    read = _lines(rows) if rows.layout() in ("table", None) else _records(rows)
    judgements: dict[str, dict[str, int]] = {}
    n_contradicting = 0
    for query, document, grade in read:
        grades = judgements.setdefault(query, {})
        n_contradicting += grades.get(document, grade) != grade
        grades[document] = grade
    if not judgements:
        raise ValueError(f"{rows.name} judges nothing; {EXPECTED}")
    return Judged(judgements, n_contradicting)


class _Columns(NamedTuple):
    """How a line is cut: by what, and where query, document and grade are of how many cells."""

    delimiter: str | None
    places: tuple[int, int, int]
    width: int
    is_header: bool


def _lines(rows: Rows) -> Iterator[tuple[str, str, int]]:
    columns: _Columns | None = None
    for number, line in rows.lines():
        if columns is None:
            columns = _find_columns(line)
            if columns is not None and columns.is_header:
                continue
        cells = _cut(line, columns.delimiter) if columns is not None else []
        grade = None
        if columns is not None and len(cells) == columns.width:
            grade = _grade(cells[columns.places[2]])
        if columns is None or grade is None:
            raise ValueError(f"{rows.place(number)}: {EXPECTED}; got {line[:80]!r}")
        yield cells[columns.places[0]], cells[columns.places[1]], grade


def _find_columns(line: str) -> _Columns | None:
    for delimiter in ("\t", None, ",", ";", "|"):
        cells = _cut(line, delimiter)
        places = _named(cells)
        if places is not None:
            return _Columns(delimiter, places, len(cells), True)
        places = WITHOUT_HEADER.get(len(cells))
        if places is not None and _grade(cells[places[2]]) is not None:
            return _Columns(delimiter, places, len(cells), False)
    return None


def _named(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where the three are among names of columns, None where one is not, or two are."""
    folded = [name.strip().casefold() for name in names]
    found = [[place for place, name in enumerate(folded) if name in known] for known in NAMES]
    if any(len(places) != 1 for places in found):
        return None
    query, document, grade = (places[0] for places in found)
    return query, document, grade


def _cut(line: str, delimiter: str | None) -> list[str]:
    if delimiter in (None, "\t"):
        return [_unquoted(cell) for cell in line.split(delimiter)]
    return next(csv.reader([line], delimiter=str(delimiter)), [])


def _unquoted(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _records(rows: Rows) -> Iterator[tuple[str, str, int]]:
    for number, record in rows:
        names = list(record)
        places = _named(names)
        if places is None:
            raise ValueError(f"{rows.place(number)}: {EXPECTED}; got the fields {listed(names)}")
        query, document = (as_key(record[names[place]]) for place in places[:2])
        grade = _grade(record[names[places[2]]])
        if query is None or document is None or grade is None:
            values = [record[names[place]] for place in places]
            raise ValueError(
                f"{rows.place(number)}: expected two ids and a whole number, got {values}"
            )
        yield str(query), str(document), grade


def _grade(value: Any) -> int | None:  # noqa: ANN401 (a cell, or parsed JSON)
    """Return a grade, which is a whole number, such as 1 or 1.0; None where it is none."""
    if isinstance(value, str):
        match = GRADE.fullmatch(value)
        return int(match[1]) if match else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
