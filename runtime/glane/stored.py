"""What the indexes of vectors share: the form of representations, and the order of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np

from glane.hits import Hits, check_k
from glane.types import Ids, Scores
from glane.vectors import Rows


class Vectors(Protocol):
    """Ragged rows, one a text: `TokenVectors`, `SparseVectors` or `TermEmbeddings`."""

    def __len__(self) -> int:
        """Return how many texts there are."""
        ...

    def __getitem__(self, rows: Rows) -> Self:
        """Return some rows."""
        ...

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, in order."""
        ...


V = TypeVar("V", bound=Vectors)


def check_width(dim: int, expected: int) -> None:
    """Refuse vectors of another width than an index holds.

    Raises:
        ValueError: If they differ.
    """
    if dim != expected:
        raise ValueError(f"vectors must have width {expected}, got {dim}")


def rerank(queries: V, hits: Hits, k: int, score: Callable[[V, Ids], Scores]) -> Hits:
    """Order each query's hits anew.

    Args:
        queries: One for each row of hits.
        hits: Candidates, of any width; their scores are not used.
        k: Documents wanted per query, at least 1.
        score: Scores of one query with documents, given by their numbers in rising order.

    Returns:
        Shape (n_queries, k), best first; equal scores by lower number.

    Raises:
        ValueError: If `k` is below 1, or the numbers of queries and of rows differ.
    """
    check_k(k)
    if len(queries) != len(hits.ids):
        raise ValueError(f"got {len(queries)} queries for {len(hits.ids)} rows of hits")
    rows = []
    for query in range(len(queries)):
        ids = np.sort(hits.row(query)[0])
        rows.append((ids, score(queries[query : query + 1], ids)))
    return Hits.from_rows(rows, k)
