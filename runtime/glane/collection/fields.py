"""Fields of a record by name, nested ones by dots, and the text that some of them make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from glane.model.preparation import clean


def look_up(record: Mapping[str, Any], name: str, missing: object = None) -> Any:  # noqa: ANN401
    """Return the value of a field, and of a nested one by its path.

    A field that is literally called so comes first.

    Args:
        record: Any record.
        name: Such as `title`, or `meta.title` for `{"meta": {"title": ...}}`.
        missing: What is returned where there is no such field.

    >>> look_up({"meta": {"title": "Tea"}, "a.b": 1, "a": {"b": 2}}, "meta.title")
    'Tea'
    >>> look_up({"a.b": 1, "a": {"b": 2}}, "a.b")
    1
    """
    if name in record:
        return record[name]
    parts = name.split(".")
    for n in range(1, len(parts)):
        inner = record.get(".".join(parts[:n]))
        if isinstance(inner, Mapping):
            found = look_up(inner, ".".join(parts[n:]), _NOTHING)
            if found is not _NOTHING:
                return found
    return missing


_NOTHING = object()


def has_field(record: Mapping[str, Any], name: str) -> bool:
    """Return whether a record has a field, whatever its value."""
    return look_up(record, name, _NOTHING) is not _NOTHING


def chosen(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of some fields of a record, None where it has no such field."""
    return {name: look_up(record, name) for name in names}


def join_fields(record: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return the text of some fields, joined by a space; missing and empty fields add nothing.

    Raises:
        ValueError: If a field holds something else than text.

    >>> join_fields({"title": "Tea", "text": "A leaf."}, ["title", "text", "notes"])
    'Tea A leaf.'
    """
    return " ".join(part.text for part in joined_fields(record, fields))


class FieldText(NamedTuple):
    """The text of one field, and where it lies in the text of all.

    Attributes:
        name: Of the field.
        value: Its text as the record has it.
        text: What is searched of it: the same without the white space around it.
        start: Its first character in the text that `join_fields` makes.
    """

    name: str
    value: str
    text: str
    start: int

    def piece(self, start: int, stop: int) -> tuple[int, int] | None:
        """Return where a piece of the joined text lies in `value`; None where it lies outside."""
        low, high = max(start, self.start), min(stop, self.start + len(self.text))
        if low >= high:
            return None
        shift = len(self.value) - len(self.value.lstrip()) - self.start
        return low + shift, high + shift


def joined_fields(record: Mapping[str, Any], fields: Sequence[str]) -> list[FieldText]:
    """Return the fields that `join_fields` joins, those without text left out.

    Raises:
        ValueError: If a field holds something else than text.
    """
    parts: list[FieldText] = []
    start = 0
    for name in fields:
        value = look_up(record, name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"field {name!r} must be text, got {type(value).__name__}: {value!r}")
        if value and value.strip():
            text = clean(value).strip()
            parts.append(FieldText(name, value, text, start))
            start += len(text) + 1
    return parts
