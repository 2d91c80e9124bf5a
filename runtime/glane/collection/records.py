"""Documents as dictionaries: their ids, and the texts that are searched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from glane.collection.fields import has_field, join_fields, look_up
from glane.collection.messages import listed
from glane.store.names import Name

NAME_THE_ID = "say with --key which is the id"


def as_records(documents: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return documents as a list.

    Raises:
        TypeError: If it is one dictionary.
    """
    if isinstance(documents, Mapping):
        raise TypeError("documents must be a list of dictionaries, got one dictionary")
    return list(documents)


def read_records(
    records: Sequence[Mapping[str, Any]], key: str, on: Sequence[str], *, first: bool
) -> tuple[list[Name], list[str]]:
    """Return id and text of each document.

    Args:
        records: The documents.
        key: Field of the id.
        on: Fields of the text; one that is missing or empty in a document is empty text there.
        first: Whether no others were added before: each field must then be in some document.

    Raises:
        ValueError: If an id is missing, of another type, or appears twice, a field is no text, or
            is in none of the documents.
    """
    keys, texts = [], []
    seen: set[Name] = set()
    for place, record in enumerate(records):
        found, text = read_record(record, key, on, f"the document at position {place}")
        if found in seen:
            raise ValueError(f"document {found!r} appears twice")
        seen.add(found)
        keys.append(found)
        texts.append(text)
    if records:
        check_fields(
            on, {field for record in records for field in present(record, on)}, first=first
        )
    return keys, texts


def present(record: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
    """Return the fields that a record has, whatever their values."""
    return [name for name in fields if has_field(record, name)]


def check_fields(on: Sequence[str], there: Collection[str], *, first: bool) -> None:
    """Refuse documents of which none has a field that is searched.

    Args:
        on: The fields that are searched.
        there: The fields that some document has.
        first: Whether no others were added before: each field must then be in some document;
            later, one of them is enough.

    Raises:
        ValueError: If a field is missing.
    """
    missing = missing_field(on, there, all_needed=first)
    if missing is not None:
        raise ValueError(f"no document has the field {missing!r}; `on` is {list(on)}")


def missing_field(on: Sequence[str], there: Collection[str], *, all_needed: bool) -> str | None:
    """Return a field that is searched and that no document has, if that is not to be.

    Args:
        on: The fields that are searched.
        there: Those of them that some document has.
        all_needed: Whether each of them must be there; else one is enough.
    """
    missing = [field for field in on if field not in there]
    return missing[0] if missing and (all_needed or len(missing) == len(on)) else None


def check_key(record: Mapping[str, Any], key: str, place: str, how: str) -> None:
    """Refuse a document of a file that has no id.

    Args:
        record: The document.
        key: Field of the id.
        place: How messages call the document.
        how: What to do about it, for the message.

    Raises:
        ValueError: If it has no such field.
    """
    if not has_field(record, key):
        raise ValueError(f"{place} has no key {key!r}: it has {listed(record)}; {how}")


def read_record(
    record: Mapping[str, Any], key: str, on: Sequence[str], where: str
) -> tuple[Name, str]:
    """Return id and text of one document.

    Args:
        record: The document.
        key: Field of the id, a nested one by dots.
        on: Fields of the text, likewise; one that is missing or empty is empty text.
        where: How messages call the document.

    Raises:
        TypeError: If it is not a dictionary.
        ValueError: If the id is missing or of another type, or a field is not text.
    """
    if not isinstance(record, Mapping):
        kind = type(record).__name__
        raise TypeError(f"documents must be dictionaries, got {kind} for {where}: {record!r:.60}")
    given = look_up(record, key, record)
    if given is record:
        raise ValueError(f"{where} has no key {key!r}: it has {list(record)}")
    try:
        found = _plain(given, f"the key {key!r} of {where}")
        return found, join_fields(record, list(on))
    except (TypeError, ValueError) as error:
        name = "" if where in str(error) else f"{where}, id {given!r}: "
        raise ValueError(f"{name}{error}") from None


def as_key(key: object) -> Name | None:
    """Return a document's id as a plain string or integer; None where it is neither.

    Numpy's integers and strings are taken, booleans are not.
    """
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return index(key)
    return None


def check_keys(keys: Iterable[Name]) -> list[Name]:
    """Return ids as a list of plain strings and integers.

    Raises:
        TypeError: If it is one string, or holds something else than strings and integers.
    """
    if isinstance(keys, str | bytes):
        raise TypeError(f"ids must be a list, got one string {keys!r}")
    return [_plain(key, f"the id at position {place}") for place, key in enumerate(keys)]


def _plain(key: object, name: str) -> Name:
    found = as_key(key)
    if found is None:
        kind = type(key).__name__
        raise TypeError(f"{name} must be a string or an integer, got {kind}: {key!r}")
    return found
