"""Fields by their names, those inside of other fields by dots: the one rule for all options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def look_up(record: Mapping[str, Any], name: str) -> Any | None:  # noqa: ANN401 (parsed JSON)
    """Return the value of a field; None where it is missing or null.

    A field that is literally called so comes first.

    >>> look_up({"meta": {"title": "Tea"}}, "meta.title")
    'Tea'
    >>> look_up({"meta": {"title": "Tea"}, "meta.title": "Leaf"}, "meta.title")
    'Leaf'
    """
    if name in record:
        return record[name]
    outer, _, inner = name.partition(".")
    within = record.get(outer)
    return look_up(within, inner) if inner and isinstance(within, Mapping) else None
