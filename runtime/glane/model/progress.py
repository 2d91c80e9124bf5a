"""Bars and lines that tell what is being done, on standard error where that is a terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar

Entered = TypeVar("Entered")

DELAY = 1.0
"""Seconds that something may take before it is told of."""


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

    columns, rows = room()
    with tqdm(total=total, desc=desc, leave=False, ncols=columns, nrows=rows) as made:
        yield made


def room() -> tuple[int, int] | tuple[None, None]:
    """Return how many columns and rows tqdm is to take, none where it finds out itself.

    A terminal in a container, or of a recorder, may say that it is 0 columns wide: a bar for it
    would be seen by nobody.
    """
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # it is not a terminal, or it was closed
        known = True
    return (None, None) if known else (80, 24)


@contextmanager
def telling(doing: str) -> Iterator[None]:
    """Tell what the block does, in a line, if it takes more than `DELAY` seconds.

    Args:
        doing: What is being done, such as "opening the index".
    """
    if not _is_terminal():
        yield
        return
    timer = threading.Timer(DELAY, _tell, [doing])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def writing_to(context: AbstractContextManager[Entered]) -> Iterator[Entered]:
    """Open an index and save it at the end, as `context` does, and tell of what takes long."""
    with ExitStack() as stack:
        with telling("opening the index"):
            entered = stack.enter_context(context)
        yield entered
        with telling("saving the index"):
            stack.close()


def _tell(doing: str) -> None:
    if _is_terminal():
        sys.stderr.write(f"{doing} ...\n")


def _is_terminal() -> bool:
    """Return whether there is a standard error, still open, that is a terminal."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it was closed
        return False
