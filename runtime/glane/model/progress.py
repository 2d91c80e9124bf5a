"""Bars of progress, on standard error and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """Something that counts what was done."""

    def update(self, n: int = 1) -> object:
        """Count n more."""


class _Hidden:
    """A bar that nobody sees."""

    def update(self, n: int = 1) -> None:
        """Count nothing."""


@contextmanager
def bar(total: int | None, desc: str, shown: bool = True) -> Iterator[Bar]:
    """Show a bar while the block runs; nothing is loaded for one that is hidden.

    Args:
        total: What is to be counted.
        desc: What is being done.
        shown: Whether it is wanted; where standard error is not a terminal it is hidden anyway.
    """
    if not (shown and _is_terminal()):
        yield _Hidden()
        return
    from tqdm import tqdm  # here, not above: it takes as long to load as all of glane's modules

    with tqdm(total=total, desc=desc, leave=False) as made:
        yield made


def _is_terminal() -> bool:
    """Return whether there is a standard error, still open, that is a terminal."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it was closed
        return False
