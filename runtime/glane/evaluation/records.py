"""Documents as dictionaries: their ids, and the texts that are searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from glane.evaluation.dataset import join_fields
from glane.store.names import Name


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
    keys = [_key(record, key, place) for place, record in enumerate(records)]
    seen: set[Name] = set()
    for found in keys:
        if found in seen:
            raise ValueError(f"document {found!r} appears twice")
        seen.add(found)
    missing = [field for field in on if not any(field in record for record in records)]
    if records and missing and (missing == list(on) or first):
        raise ValueError(f"no document has the field {missing[0]!r}; `on` is {list(on)}")
    return keys, [join_fields(record, list(on)) for record in records]


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


def _key(record: Mapping[str, Any], field: str, place: int) -> Name:
    if field not in record:
        raise ValueError(f"the document at position {place} has no key {field!r}: {list(record)}")
    try:
        return _plain(record[field], f"the key {field!r} of the document at position {place}")
    except TypeError as error:
        raise ValueError(str(error)) from None


def _plain(key: object, name: str) -> Name:
    found = as_key(key)
    if found is None:
        kind = type(key).__name__
        raise TypeError(f"{name} must be a string or an integer, got {kind}: {key!r}")
    return found
