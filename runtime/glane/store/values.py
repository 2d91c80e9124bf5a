"""What documents have in their fields, typed and in columns, to be filtered by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glane.ragged import join_lengths, take_rows
from glane.store.names import Names
from glane.store.segments import (
    Arrays,
    Columns,
    Parts,
    Segment,
    Segments,
    join_ragged,
    join_rows,
    places,
)
from glane.types import Ids, Mask

TYPES = ("keyword", "int", "float", "date")
MANY = "[]"
"""Behind a type's name where a document may have several values."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}([T ]\d{2}:\d{2}.*)?)?)?")

YEARS = (1000, 9999)
"""Numbers that are taken for years where a date is due."""

BEGIN = {4: "-01-01", 7: "-01"}
"""What makes a day of a year, or of a month, by its length."""

REMEMBERED = 16
"""Filters whose documents are kept in memory, a byte a document each."""

Numbers = npt.NDArray[Any]


def check_types(types: Mapping[str, str]) -> dict[str, str]:
    """Return the type of each field that can be filtered by.

    Args:
        types: Such as `{"lang": "keyword", "year": "int", "tags": "keyword[]"}`; of "keyword",
            "int", "float" and "date", with [] behind where a document may have several.

    Raises:
        ValueError: If a type is unknown, or a field has no name.
    """
    for field, type in types.items():
        if not field or type.removesuffix(MANY) not in TYPES:
            raise ValueError(
                f"the type of field {field!r} must be one of {list(TYPES)}, or one of them with "
                f"{MANY} behind, got {type!r}"
            )
    return dict(types)


def check_row(row: Mapping[str, Any], types: Mapping[str, str], where: str) -> None:
    """Refuse a document with a value that is not of its field's type.

    Args:
        row: The value of each field by its name.
        types: As `check_types` takes them.
        where: How the message calls the document.

    Raises:
        ValueError: The message names the field.
    """
    for field, type in types.items():
        _cell(row.get(field), type, f"{where}: field {field!r}")


class Values:
    """Columns of values, one row a document; a document may lack any.

    A keyword is kept as its number among all keywords, a date as microseconds since 1970 in UTC.

    Attributes:
        types: Type of each field, as `check_types` takes it.
        rows: Where the columns are stored.
        words: The keywords.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        """Make it empty."""
        self.types = dict(types)
        self.rows = Segments(partial(_join, types=tuple(types.values())))
        self.words = Names()
        self._remembered: dict[str, tuple[Parts, Mask]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_remembered": {}}

    def snapshot(self) -> Self:
        """Return the same, to be changed; the one leaves the other alone, and nothing is copied."""
        made = copy(self)
        made.rows, made.words = self.rows.snapshot(), self.words.snapshot()
        made._remembered = {}
        return made

    def tables(self) -> dict[str, Segments]:
        """Return what is stored, by the names that it has in an index."""
        return {"fields": self.rows, "fields.words": self.words.rows}

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> Arrays:
        """Return the columns of documents; new keywords are entered.

        Args:
            rows: The value of each field by its name; None, empty text and a missing field are
                no value, and a list is several.

        Raises:
            ValueError: If a value is not of its field's type; the message names place and field.
        """
        arrays: dict[str, Numbers] = {}
        for number, (field, type) in enumerate(self.types.items()):
            cells = [
                _cell(row.get(field), type, f"field {field!r} of the document at position {place}")
                for place, row in enumerate(rows)
            ]
            if type.startswith("keyword"):
                cells = self._entered(cells)
            flat = [value for cell in cells for value in cell]
            dtype = np.float64 if type.startswith("float") else np.int64
            if type.endswith(MANY):
                arrays[f"{number}.offsets"] = join_lengths([len(cell) for cell in cells])
                arrays[f"{number}.values"] = np.array(flat, dtype)
                continue
            arrays[f"{number}.there"] = np.array([len(cell) for cell in cells], np.uint8)
            arrays[f"{number}.values"] = np.array([(cell or [0])[0] for cell in cells], dtype)
        return arrays

    def add(self, columns: Arrays, chosen: Ids) -> None:
        """Store some rows of what `encode` gave."""
        self.rows.add(_taken(columns, chosen), len(chosen))

    def equal(self, ids: Ids, columns: Arrays, chosen: Ids) -> Mask:
        """Return which stored rows equal chosen ones of what `encode` gave."""
        found = places(self.rows.parts, ids)
        stored = (_taken(part.arrays, np.array([row])) for part, row in found)
        given = (_taken(columns, chosen[place : place + 1]) for place in range(len(chosen)))
        return np.array(
            [
                all(np.array_equal(old[name], new[name]) for name in new)
                for old, new in zip(stored, given, strict=True)
            ],
            np.bool_,
        )

    def where(self, field: str, accept: Callable[[Numbers], Mask]) -> Mask:
        """Return by number which documents have a value that is accepted, shape (next_id,).

        Args:
            field: Its name.
            accept: From values to whether each is accepted.
        """
        number = list(self.types).index(field)
        many = self.types[field].endswith(MANY)
        found = np.zeros(self.rows.next_id, np.bool_)
        for part in self.rows.parts:
            fits = accept(part.arrays[f"{number}.values"])
            if many:
                before = np.concatenate([[0], np.cumsum(fits)])
                fits = np.diff(before[part.arrays[f"{number}.offsets"]]) > 0
            else:
                fits = fits & (part.arrays[f"{number}.there"] > 0)
            if part.alive is not None:
                fits = fits & part.alive
            found[part.place] = fits
        return found

    def stored(self) -> Mask:
        """Return by number which documents there are, shape (next_id,)."""
        found = np.zeros(self.rows.next_id, np.bool_)
        for part in self.rows.parts:
            found[part.place] = True if part.alive is None else part.alive
        return found

    def remembered(self, name: str, make: Callable[[], Mask]) -> Mask:
        """Return a mask by number that was made before under a name, or make it.

        Args:
            name: What decides it, besides what is stored.
            make: Called where it is not remembered of what is stored now.
        """
        parts = self.rows.parts
        known = self._remembered.get(name)
        if known is not None and known[0] is parts:
            return known[1]
        mask = make()
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = (parts, mask)
        return mask

    def number(self, field: str, value: object) -> float | int:
        """Return a value as it is stored: of a keyword that no document has, -1.

        Raises:
            ValueError: If it is not of the field's type.
        """
        type = self.types[field].removesuffix(MANY)
        cell = _cell(value, type, f"the value for field {field!r}")
        if not cell:
            raise ValueError(f"the value for field {field!r} is empty; ask whether it exists")
        if type == "keyword":
            return int(self.words.find([cell[0]])[0])
        return cell[0]  # type: ignore[no-any-return]

    def _entered(self, cells: list[list[Any]]) -> list[list[Any]]:
        words = list(dict.fromkeys(word for cell in cells for word in cell))
        known = self.words.find(words)
        new = [word for word, number in zip(words, known.tolist(), strict=True) if number < 0]
        known[known < 0] = self.words.add(new)
        numbers = dict(zip(words, known.tolist(), strict=True))
        return [[numbers[word] for word in cell] for cell in cells]


def _cell(value: object, type: str, where: str) -> list[Any]:
    """Return the values of one document in one field."""
    if value is None or value == "":
        return []
    if isinstance(value, list | tuple | np.ndarray):
        if not type.endswith(MANY):
            raise ValueError(f"{where} holds several values; its type is {type}, not {type}{MANY}")
        return [found for each in value for found in _cell(each, type.removesuffix(MANY), where)]
    read = READ[type.removesuffix(MANY)]
    try:
        return [read(value)]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where} must be of type {type}, got {value!r:.60}") from None


def _keyword(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int(value: object) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        raise TypeError
    number = int(value)  # type: ignore[call-overload]
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError
    return int(number)


def _float(value: object) -> float:
    if isinstance(value, bool | np.bool_):
        raise TypeError
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        raise ValueError
    return number


def _date(value: object) -> int:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, int) and YEARS[0] <= value <= YEARS[1]:
        moment = datetime(value, 1, 1)
    elif isinstance(value, str) and DATE.fullmatch(value.strip()):
        text = value.strip()
        moment = datetime.fromisoformat(text + BEGIN.get(len(text), ""))
    else:
        raise TypeError
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND


READ: dict[str, Callable[[object], Any]] = {
    "keyword": _keyword,
    "int": _int,
    "float": _float,
    "date": _date,
}


def _taken(columns: Arrays, rows: Ids) -> Arrays:
    """Return the columns of some rows."""
    found: dict[str, Numbers] = {}
    for name, array in columns.items():
        values = f"{name.partition('.')[0]}.values"
        if name.endswith(".offsets"):
            found[name], elements = take_rows(array, rows)
            found[values] = columns[values][elements]
        elif name.endswith(".there"):
            found[name], found[values] = array[rows], columns[values][rows]
    return found


def _join(parts: Sequence[Segment], types: Sequence[str]) -> Columns:
    columns: dict[str, Any] = {}
    for number, type in enumerate(types):
        if type.endswith(MANY):
            columns |= join_ragged(parts, f"{number}.offsets", f"{number}.values")
        else:
            columns |= join_rows(parts, f"{number}.there", f"{number}.values")
    return columns
