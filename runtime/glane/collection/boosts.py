"""Fields that count more or less than others: how they are named, and what they make of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from glane.collection.fields import join_fields, joined_fields

NAMED = re.compile(r"(.+)\^([^^]*)", re.DOTALL)

LEAST, MOST = 1e-6, 1e6
"""Bounds of a boost: what it makes of a count stays a number that can be stored."""


def read_boosts(on: Sequence[str]) -> tuple[list[str], dict[str, float]]:
    """Return the plain names of fields, and the boosts of those that have another than 1.

    Args:
        on: Names, with a boost behind where wanted: `title^2`. Of a field that is itself called
            `a^2` both are written, as in `a^2^1`.

    Raises:
        ValueError: If a boost is out of bounds, or a field has two.

    >>> read_boosts(["title^2", "text", "a^2^1"])
    (['title', 'text', 'a^2'], {'title': 2.0})
    """
    pairs = [_read(name) for name in on]
    for name, boost in pairs:
        check_boosts({name: boost})
    boosts = dict(pairs)
    for name, boost in pairs:
        if boosts[name] != boost:
            raise ValueError(
                f"field {name!r} is boosted by {boost:g} and by {boosts[name]:g}; name it once"
            )
    return [name for name, _ in pairs], {name: b for name, b in boosts.items() if b != 1}


def _read(name: str) -> tuple[str, float]:
    found = NAMED.fullmatch(name)
    try:
        return (name, 1.0) if found is None else (found[1], float(found[2]))
    except ValueError:  # a name that has a ^ of its own
        return name, 1.0


def check_boosts(boosts: Mapping[str, float]) -> None:
    """Refuse boosts that no count can be multiplied by.

    Raises:
        ValueError: If one is not a number from `LEAST` to `MOST`.
    """
    for name, boost in boosts.items():
        if not LEAST <= boost <= MOST:
            raise ValueError(
                f"the boost of field {name!r} must be from {LEAST:g} to {MOST:g}, got {boost:g}; a "
                f"field that is itself called {name}^{boost:g} is named {name}^{boost:g}^1"
            )


def by_boost(
    records: Sequence[Mapping[str, Any]], on: Sequence[str], boosts: Mapping[str, float]
) -> dict[float, list[str]]:
    """Return by boost the text of each record's fields that have it, in the order of the fields."""
    fields: dict[float, list[str]] = {}
    for name in on:
        fields.setdefault(boosts.get(name, 1.0), []).append(name)
    return {b: [join_fields(record, own) for record in records] for b, own in fields.items()}


def content(
    record: Mapping[str, Any], text: str, on: Sequence[str], boosts: Mapping[str, float]
) -> str:
    """Return what is compared to tell whether a document is to be encoded again.

    Args:
        record: The document.
        text: What is searched of it.
        on: The fields that make the text.
        boosts: Of those that have one; where there is none the text is all that counts, else also
            which part of it is of which field.
    """
    if not boosts:
        return text
    lengths = [sum(len(part.text) for part in joined_fields(record, [name])) for name in on]
    return f"{text}\0{','.join(map(str, lengths))}"
