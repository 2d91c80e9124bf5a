"""How messages call places and fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Place = Callable[[int], str]
"""Gives how messages call a line or row of a file, by its number."""

NAME, NAMES = 40, 20
"""Characters of a name, and names, that a message shows."""


def listed(names: Iterable[str]) -> str:
    """Return names for a message: a field may be called by a whole passage, and there may be many.

    >>> listed(["title", "text"])
    "['title', 'text']"
    >>> listed(["tea " * 20])
    "['tea tea tea tea tea tea tea tea tea tea ...']"
    """
    shown = [name if len(name) <= NAME else f"{name[:NAME]}..." for name in names]
    more = f" and {len(shown) - NAMES} more" if len(shown) > NAMES else ""
    return f"{shown[:NAMES]}{more}"
