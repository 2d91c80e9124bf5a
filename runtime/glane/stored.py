"""Representations of documents by number: what candidates are scored from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from glane.checkpoint import CheckpointError
from glane.hits import Hits, check_k
from glane.types import Ids, Scores
from glane.vectors import Rows, read_array


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

    def save(self, folder: str | Path) -> None:
        """Write the arrays into a folder, made where it is missing."""


V = TypeVar("V", bound=Vectors)


class StoredVectors(Generic[V]):
    """Documents' representations under numbers given in order of writing and never reused.

    Attributes:
        parts: The rows of all documents ever written, deleted ones included.
    """

    def __init__(self, vectors: V) -> None:
        """Keep the rows of some vectors, which may have none, under the numbers from 0 on."""
        self.parts: list[V] = [vectors]
        self._deleted = np.zeros(len(vectors), np.bool_)

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return int((~self._deleted).sum())

    @property
    def next_id(self) -> int:
        """The number of the next document."""
        return len(self._deleted)

    def add(self, vectors: V) -> Ids:
        """Store documents and return their numbers."""
        first = len(self._deleted)
        self.parts.append(vectors)
        while len(self.parts) > 1 and len(self.parts[-2]) <= len(self.parts[-1]):
            self.parts[-2:] = [type(vectors).concatenate(self.parts[-2:])]
        self._deleted = np.append(self._deleted, np.zeros(len(vectors), np.bool_))
        return np.arange(first, len(self._deleted))

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        ids = np.asarray(ids, np.int64)
        self._check(ids)
        if len(np.unique(ids)) < len(ids):
            raise ValueError(f"ids must differ, got {ids.tolist()}")
        self._deleted[ids] = True

    def alive(self) -> Ids:
        """Return the numbers of the documents that are stored, in rising order."""
        return np.flatnonzero(~self._deleted)

    def split(self, ids: Ids) -> list[tuple[V, Ids]]:
        """Return each part that holds some of the documents, and their rows in it.

        Args:
            ids: Numbers of documents that are stored, in rising order.

        Raises:
            ValueError: If one is not stored.
        """
        self._check(ids)
        firsts = np.cumsum([0, *map(len, self.parts)])
        cuts = np.searchsorted(ids, firsts)
        places = zip(self.parts, firsts[:-1], cuts[:-1], cuts[1:], strict=True)
        return [(part, ids[low:high] - first) for part, first, low, high in places if high > low]

    def save(self, folder: str | Path) -> None:
        """Write all rows into a folder, made where it is missing."""
        type(self.parts[0]).concatenate(self.parts).save(folder)
        np.save(Path(folder) / "deleted.npy", self._deleted, allow_pickle=False)

    @classmethod
    def load(cls, folder: str | Path, vectors: V) -> StoredVectors[V]:
        """Join the vectors that `save` wrote into a folder with what else it wrote there.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        stored = cls(vectors)
        stored._deleted = read_array(Path(folder) / "deleted.npy", mapped=False)
        if len(stored._deleted) != len(vectors):
            raise CheckpointError(
                f"{str(folder)!r} is damaged: its arrays are of different lengths"
            )
        return stored

    def _check(self, ids: Ids) -> None:
        stored = (ids >= 0) & (ids < len(self._deleted))
        stored[stored] = ~self._deleted[ids[stored]]
        if not stored.all():
            raise ValueError(f"unknown document {ids[~stored][0]}; it is not stored")


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
