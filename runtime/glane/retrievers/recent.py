"""The queries asked last, as their model made them: none of them is encoded twice."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic

from glane.vectors import V

KEPT = 32
"""Queries whose vectors are kept; of 32 tokens and 384 dimensions they take 1.6 MB together."""


class Recent(Generic[V]):
    """Vectors of single queries, of which the last few are kept; safe from many threads.

    A search, its excerpts and its explanations all need the vectors of one query.
    """

    def __init__(self) -> None:
        """Keep none yet."""
        self._kept: dict[str, V] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Recent[V]], tuple[()]]:
        """Return what makes another, which keeps none yet."""
        return Recent, ()

    def of(self, text: str, encode: Callable[[str], V]) -> V:
        """Return the vectors of a query, one row, which is the caller's own.

        Args:
            text: Any string.
            encode: Makes the vectors of one that is not kept.
        """
        with self._lock:
            found = self._kept.pop(text, None)
        vectors = encode(text) if found is None else found
        with self._lock:
            self._kept[text] = vectors  # the last that is forgotten
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return type(vectors).concatenate([vectors])
