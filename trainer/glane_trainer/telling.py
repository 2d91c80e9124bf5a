"""What a command tells of its progress, on standard error: a line for what takes long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from glane.model.progress import room

DELAY = 1.0
"""Seconds that something may take before it is told of."""

EVERY = 30.0
"""Seconds between lines of progress where standard error is not a terminal."""

ENOUGH = 5
"""Steps after which it is told how long the others will take: the first ones take longer."""

SHOWN = ("loss", "lr", "query_terms", "document_terms")
"""What is told of a step, where it was logged."""


def is_first() -> bool:
    """Return whether this is the process that tells, of those that a launcher has started."""
    return os.environ.get("RANK", "0") == "0"


def is_silent() -> bool:
    """Return whether another process of the same training tells, or nobody can."""
    return sys.stderr is None or not is_first()


def tell(line: str) -> None:
    """Write a line to standard error, above a bar that is there."""
    if is_silent():
        return
    from tqdm import tqdm  # here, not above: a command that is refused at once needs no bar

    tqdm.write(line, file=sys.stderr)


@contextmanager
def stage(doing: str) -> Iterator[None]:
    """Tell what the block does, if it takes more than `DELAY` seconds.

    Args:
        doing: What is being done, without a full stop.
    """
    timer = threading.Timer(DELAY, tell, [f"{doing} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def ending(done: str) -> Iterator[None]:
    """Tell that the block has ended, if it took so long that its stages were told of.

    Args:
        done: What was done, without a full stop.
    """
    began = time.monotonic()
    yield
    if time.monotonic() - began > DELAY:
        tell(done)


class Steps:
    """How far a run has come: a bar on a terminal, else a line now and then.

    Attributes:
        total: Steps of the whole run.
        done: Steps done, those of earlier sessions included.
    """

    def __init__(self, total: int, done: int) -> None:
        """Begin to count, at `done`."""
        from tqdm import tqdm

        self.total, self.done, self._first = total, done, done
        self._began = time.monotonic()
        self._next = self._began + DELAY
        columns, rows = room()
        self._bar: Any = tqdm(
            total=total,
            initial=done,
            disable=is_silent() or None,
            unit="step",
            ncols=columns,
            nrows=rows,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, record: Mapping[str, float]) -> None:
        """Count a step and tell of it, where that is due."""
        self.done += 1
        figures = {name: f"{record[name]:.3g}" for name in SHOWN if name in record}
        self._bar.set_postfix(figures, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if not self._bar.disable or now < self._next:
            return
        self._next = now + EVERY
        told = [f"{name} {figure}" for name, figure in figures.items()]
        if (n_done := self.done - self._first) >= ENOUGH:
            left = (now - self._began) / n_done * (self.total - self.done)
            told.append(f"{duration(left)} left")
        tell(f"step {self.done} of {self.total}: {', '.join(told)}")


def duration(seconds: float) -> str:
    """Return a time as one reads it.

    >>> duration(41.6), duration(222.0), duration(7384.0)
    ('42 s', '4 min', '2 h 3 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
