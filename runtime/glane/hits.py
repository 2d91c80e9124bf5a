"""What a search returns, and the one rule that orders it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from operator import index
from typing import Any, NamedTuple, Protocol, Self, SupportsIndex, TypedDict, TypeVar

import numpy as np

from glane.types import Ids, Scores

NO_ID = -1
NO_SCORE = np.float32(-np.inf)

FILLED_UP_TO = 1000
"""Width that short rows of hits are filled up to; beyond it none is wider than the longest."""

Key = str | int
"""A document's id, as its owner gives it."""


class Hit(TypedDict):
    """One document of an answer, as `to_lists` and JSON show it."""

    id: Key
    score: float


class _Hits(NamedTuple):
    ids: Ids
    scores: Scores


class _Results(NamedTuple):
    ids: list[list[Key]]
    scores: list[list[float]]


class _HasIds(Protocol):
    @property
    def ids(self) -> Sized: ...


class _ByQuery:
    """A pair whose length is the number of queries; it is still unpacked as a pair."""

    __slots__ = ()

    def __len__(self: _HasIds) -> int:
        return len(self.ids)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Self:
        """Return a pair of two values: that of named tuples looks at the length."""
        return cls(*iterable)


class Hits(_ByQuery, _Hits):  # type: ignore[misc]  # `_make` too
    """The best documents of each query; `ids, scores = hits`, and `len(hits)` queries.

    Attributes:
        ids: int64, shape (n_queries, k), best first; -1 where a row has fewer than k hits. Where k
            is above 1,000, the rows are no wider than 1,000 or the longest of them.
        scores: float32, the same shape; -inf where the id is -1.
    """

    __slots__ = ()

    def row(self, query: int) -> tuple[Ids, Scores]:
        """Return ids and scores of one query, without the sentinels of a short row."""
        found = self.ids[query] != NO_ID
        return self.ids[query][found], self.scores[query][found]

    def to_lists(self) -> list[list[Hit]]:
        """Return one list a query of `{"id", "score"}`, best first, without sentinels."""
        rows = map(self.row, range(len(self.ids)))
        return [_pairs(ids.tolist(), scores.tolist()) for ids, scores in rows]

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[Ids, Scores]], k: int) -> Hits:
        """Order each row by the rule of `best`, cut it at k, and fill it up to k with sentinels.

        Args:
            rows: Ids and scores of each query, in any order; no id twice in a row.
            k: Width of the result, at least 1; above 1,000 the result is no wider than 1,000 or
                the longest row, so that asking for all documents takes no more than there are.
        """
        orders = [best(scores, ids, k) for ids, scores in rows]
        return cls.of_ordered(
            [(ids[o], scores[o]) for (ids, scores), o in zip(rows, orders, strict=True)], k
        )

    @classmethod
    def of_ordered(cls, rows: Sequence[tuple[Ids, Scores]], k: int) -> Hits:
        """Fill rows up to k with sentinels, as `from_rows` does.

        Args:
            rows: Ids and scores of each query, at most k, best first.
            k: As in `from_rows`.
        """
        longest = max((len(ids) for ids, _ in rows), default=0)
        hits = cls.empty(len(rows), min(k, max(longest, FILLED_UP_TO)))
        for number, (ids, scores) in enumerate(rows):
            hits.ids[number, : len(ids)] = ids
            hits.scores[number, : len(ids)] = scores
        return hits

    @classmethod
    def empty(cls, n_queries: int, k: int) -> Hits:
        """Return hits of shape (n_queries, k) that hold only sentinels."""
        shape = (n_queries, k)
        return cls(np.full(shape, NO_ID, np.int64), np.full(shape, NO_SCORE, np.float32))


class Results(_ByQuery, _Results):  # type: ignore[misc]  # likewise
    """The best documents of each query, by the caller's own ids; `len(results)` queries.

    Attributes:
        ids: One list a query, best first, at most k long.
        scores: The score of each.
        timings: Milliseconds by stage, where the search was asked for them (`Timings`); else None.
    """

    timings: dict[str, float] | None = None

    def to_lists(self) -> list[list[Hit]]:
        """Return one list a query of `{"id", "score"}`, best first."""
        return [_pairs(*row) for row in zip(self.ids, self.scores, strict=True)]


def best(scores: Scores, ids: Ids, k: int) -> Ids:
    """Return the positions of the k highest scores, best first; equal scores by lower id.

    Args:
        scores: Shape (n,), no NaN.
        ids: Shape (n,), the id of each score.
        k: At least 0; more than n returns all n.

    >>> best(np.float32([1, 3, 3]), np.int64([5, 9, 7]), k=2)
    array([2, 1])
    """
    positions = np.arange(len(scores))
    if 0 < k < len(scores):
        threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
        positions = np.flatnonzero(scores >= threshold)
    order = np.lexsort((ids[positions], -scores[positions]))
    return positions[order[:k]]


class Rows(Protocol):
    """Representations of queries, one a row."""

    def __len__(self) -> int:
        """Return how many queries there are."""
        ...

    def __getitem__(self, rows: slice) -> Self:
        """Return some rows."""
        ...


Q = TypeVar("Q", bound=Rows)


def rerank(queries: Q, hits: Hits, k: int, score: Callable[[Q, Ids], Scores]) -> Hits:
    """Order each query's hits anew.

    Args:
        queries: One for each row of hits.
        hits: Candidates, of any width; their scores are not used.
        k: Documents wanted per query, at least 1.
        score: Scores of one query with documents, given by their numbers in rising order.

    Returns:
        Shape (n_queries, k), best first; equal scores by lower number.

    Raises:
        TypeError: If `k` is not an integer.
        ValueError: If `k` is below 1, or the numbers of queries and of rows differ.
    """
    k = check_k(k)
    if len(queries) != len(hits.ids):
        raise ValueError(f"got {len(queries)} queries for {len(hits.ids)} rows of hits")
    rows = []
    for query in range(len(queries)):
        ids = np.sort(hits.row(query)[0])
        rows.append((ids, score(queries[query : query + 1], ids)))
    return Hits.from_rows(rows, k)


def check_k(k: SupportsIndex, name: str = "k") -> int:
    """Return a number of documents as a plain integer.

    Raises:
        TypeError: If `k` is not an integer, or a boolean.
        ValueError: If `k` is below 1.

    >>> check_k(np.int8(100))
    100
    """
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"{name} must be an integer, got {type(k).__name__}: {k!r}")
    number = index(k)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def _pairs(ids: Sequence[Key], scores: Sequence[float]) -> list[Hit]:
    return [{"id": id, "score": score} for id, score in zip(ids, scores, strict=True)]
