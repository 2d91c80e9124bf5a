"""What the stages of a search take: measured where it is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

Timings = dict[str, float]
"""Milliseconds of all queries of a search together, by the stage: "filter", "encode" (of both
models), "retrieve", "rerank" and "fuse"; a stage that there was not is not in it."""


@contextmanager
def timed(timings: Timings | None, stage: str) -> Iterator[None]:
    """Add what the block takes to the time of a stage.

    Args:
        timings: Where to; None where nobody asks.
        stage: The stage.
    """
    start = time.perf_counter()
    yield
    if timings is not None:
        timings[stage] = timings.get(stage, 0.0) + (time.perf_counter() - start) * 1e3
