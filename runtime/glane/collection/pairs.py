"""Pairs and triples of texts from files, whatever their fields are called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from glane.collection.fields import join_fields, look_up
from glane.collection.rows import Rows
from glane.errors import option

NAMES = {
    "anchor": ("anchor", "query", "question"),
    "positive": (
        *("positive", "positives", "pos", "answer", "document", "passage"),
        *("positive_passages", "positive_ctxs"),
    ),
    "negatives": (
        *("negative", "negatives", "neg", "hard_negative", "hard_negatives"),
        *("negative_passages", "hard_negative_ctxs"),
    ),
}
"""What fields are called where nobody says it; upper and lower case are alike."""

LISTS = frozenset(
    {
        *("positives", "pos", "positive_passages", "positive_ctxs"),
        *("negatives", "neg", "hard_negatives", "negative_passages", "hard_negative_ctxs"),
    }
)
"""Those that hold a list of texts; in a cell, which is text, it is written as JSON."""

NUMBERED = re.compile(r"(?:hard_)?neg(?:ative)?_?[0-9]+")
"""Names of fields that hold one negative each, as in `negative_1`."""

FIELDS = ("title", "text")
"""What is read of a passage that is an object."""

ZERO = ("0", "0.0", "False", "false")
"""Labels of pairs that do not match."""

NUMBER = re.compile(r"\s*[+-]?[0-9]+(?:\.[0-9]+)?\s*")

HEADERLESS = (("query", "positive", "negative"), ("query", "positive"))
"""The columns of tables without a header: MS MARCO's triples, and pairs."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields to read, by name; `NAMES` finds what is None.

    Attributes:
        anchor: The question. A dot names a field inside another: `meta.question`.
        positive: A text that answers it, or a list of such.
        negatives: A text that does not, or a list of such.
    """

    anchor: str | None = None
    positive: str | None = None
    negatives: str | None = None


class Pair(NamedTuple):
    """A question and its answers.

    Attributes:
        anchor: The question.
        positives: Texts that answer it, at least one.
        negatives: Texts that do not, any number.
        place: Where it was read, for messages.
        record: What was read.
    """

    anchor: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    place: str
    record: Mapping[str, Any]


class Reader:
    """Makes pairs of the records of a file, and watches what only all of them can show."""

    def __init__(self, name: str, fields: Fields) -> None:
        """Begin a file.

        Args:
            name: How messages call it.
            fields: Which fields to read.
        """
        self._name, self._fields = name, fields
        self._roles: dict[tuple[str, ...], _Roles] = {}
        self._numbers = {"anchor", "positive"}
        self._n_negatives = 0
        self._last: Mapping[str, Any] = {}

    def pair(self, record: Mapping[str, Any]) -> Pair:
        """Return the pair that a record is; it has no place.

        Raises:
            ValueError: If a field is missing, one of several, empty, or no text; the message names
                the field.
        """
        names = tuple(record)
        roles = self._roles.get(names)
        if roles is None:
            roles = self._roles[names] = _found(names, self._fields)
        pair = _pair(record, roles)
        self._last = record
        self._n_negatives += len(pair.negatives)
        if self._numbers:
            texts = (("anchor", pair.anchor), *(("positive", text) for text in pair.positives))
            self._numbers -= {role for role, text in texts if not NUMBER.fullmatch(text)}
        return pair

    def finish(self) -> None:
        """Refuse a file by all of its records.

        Raises:
            ValueError: If all values of a field are numbers, or negatives were named that no record
                has.
        """
        if self._last and self._numbers:
            raise ValueError(
                f"{self._name}: every {min(self._numbers)} is a number; expected texts, and not "
                "their ids, unless --queries and --documents (`texts`) name the files of the texts"
            )
        if self._fields.negatives and self._last and not self._n_negatives:
            raise ValueError(
                f"{self._name}: no record has negatives in the field {self._fields.negatives!r} "
                f"that {_option('negatives')} names; the last has the fields {list(self._last)}"
            )


def pair_rows(path: str | Path, fields: Fields = Fields()) -> Rows:
    """Return the rows of a file of pairs: tables without a header have the columns `HEADERLESS`."""
    return Rows(path) if fields.anchor or fields.positive else Rows(path, *HEADERLESS)


def read_pairs(path: str | Path, fields: Fields = Fields()) -> Iterator[Pair]:
    """Yield the pairs and triples of a file in their order.

    Args:
        path: As `Rows` takes it. Tables without a header have the columns in `HEADERLESS`.
        fields: Which fields to read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a field is missing, one of several, empty, or no text; the message names
            file, line and field. If all of its values are numbers.
    """
    rows = pair_rows(path, fields)
    reader = Reader(rows.name, fields)
    for number, record in rows:
        try:
            pair = reader.pair(record)
        except ValueError as error:
            raise ValueError(f"{rows.place(number)}: {error}") from None
        yield pair._replace(place=rows.place(number))
    reader.finish()


class _Roles(NamedTuple):
    """The fields of a record that hold each.

    Attributes:
        label: Of a pair without negatives: whether it matches; "" for none.
        texts: Returns the values of all the others, where each is one text; else None.
    """

    anchor: str
    positive: str
    negatives: tuple[str, ...]
    label: str
    texts: Callable[[Mapping[str, Any]], tuple[Any, ...]] | None


def _found(names: tuple[str, ...], fields: Fields) -> _Roles:
    """Return which of a record's fields are what."""
    negatives = [fields.negatives] if fields.negatives else _named("negatives", names)
    if not fields.negatives:
        negatives += [name for name in names if NUMBERED.fullmatch(name.strip().casefold())]
    labels = [name for name in names if name.strip().casefold() == "label" and not negatives]
    anchor = fields.anchor or _one("anchor", names)
    positive = fields.positive or _one("positive", names)
    all_of = (anchor, positive, *negatives)
    are_texts = not labels and not any(name not in names or _is_list(name) for name in all_of)
    texts = itemgetter(*all_of) if are_texts else None
    return _Roles(anchor, positive, tuple(negatives), labels[0] if labels else "", texts)


def _one(role: str, names: tuple[str, ...]) -> str:
    found = _named(role, names)
    if not found:
        raise ValueError(
            f"`{role}` is missing: none of {list(NAMES[role])} is among the fields {list(names)}; "
            f"name it with {_option(role)}"
        )
    return found[0]


def _option(role: str) -> str:
    return option(role, f"fields=Fields({role}=...)")


def _named(role: str, names: tuple[str, ...]) -> list[str]:
    """Return the field with a name in common use, in a list that is empty where there is none."""
    found = [name for name in names if name.strip().casefold() in NAMES[role]]
    if len(found) > 1:
        listed = " and ".join(f"`{name}`" for name in found)
        raise ValueError(f"needs one of {listed}; say which with {_option(role)}")
    return found


def _pair(record: Mapping[str, Any], roles: _Roles) -> Pair:
    texts = roles.texts(record) if roles.texts else ()
    for text in texts:
        if type(text) is not str or not text or text.isspace():
            break
    else:
        if texts:  # most records are texts alone, and files of them are the largest
            return Pair(texts[0], texts[1:2], texts[2:], "", record)
    anchor = _text(_value(record, roles.anchor), roles.anchor)
    positives = _texts(_value(record, roles.positive), roles.positive)
    if not positives:
        raise ValueError(f"`{roles.positive}` is empty")
    if roles.label and str(record[roles.label]).strip() in ZERO:
        raise ValueError(
            f"`{roles.label}` is {record[roles.label]!r}: a pair that does not match is no "
            "example; leave such pairs out, or give their texts as negatives"
        )
    negatives = [text for name in roles.negatives for text in _optional(record, name)]
    return Pair(anchor, positives, tuple(negatives), "", record)


def _optional(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the texts of a field that may be missing, null, or an empty cell."""
    value = look_up(record, name)
    blank = value is None or (isinstance(value, str) and (not value or value.isspace()))
    return () if blank else _texts(value, name)


def _value(record: Mapping[str, Any], name: str) -> object:
    value = look_up(record, name)
    if value is None:
        raise ValueError(f"`{name}` is missing; its fields are {list(record)}")
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    """Return the texts of a field: of a list, of a list in JSON, or one."""
    is_list = _is_list(name)
    if is_list and isinstance(value, str):
        value = _parsed(value)
    if is_list and not isinstance(value, list):
        raise ValueError(
            f"`{name}` must be a list of texts, got {type(value).__name__}"
            "; in a table a list is written as JSON"
        )
    return tuple(_text(each, name) for each in (value if isinstance(value, list) else [value]))


@lru_cache
def _is_list(name: str) -> bool:
    return name.rpartition(".")[2].strip().casefold() in LISTS


def _parsed(text: str) -> object:
    """Return the list that a cell holds as JSON, or the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text


def _text(value: object, name: str) -> str:
    """Return a text: as it is, or of a passage that is an object, as Tevatron and DPR have them."""
    if isinstance(value, Mapping) and "text" in value:
        value = join_fields(value, FIELDS)
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be text, got {type(value).__name__}: {value!r:.60}")
    if not value.strip():
        raise ValueError(f"`{name}` is empty")
    return value
