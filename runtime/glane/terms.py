"""Documents by the terms that a model gave them: what Splade searches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glane.checkpoint import FORMAT_VERSION, CheckpointError, Schema
from glane.hits import Hits
from glane.lexical import check_arrays
from glane.postings import Postings, Statistics, Weigh
from glane.text import TextPreparer
from glane.types import Ids, Scores
from glane.vectors import SparseVectors, join_lengths, read_array

HIGHEST_TERM = 1 << 31
"""Above every term number: how many a model has, an index does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermIndexInfo(Schema):
    """What the arrays of a `TermIndex` do not say: `terms.json`.

    Attributes:
        format_version: Version of this schema.
        next_id: The number of the next document.
    """

    file_name = "terms.json"

    format_version: int = FORMAT_VERSION
    next_id: int


class TermIndex:
    """Terms and weights of documents, searched exactly; a weight counts as it is."""

    def __init__(self) -> None:
        """Make an empty index."""
        self.postings = Postings(weigh_as_it_is)

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return len(self.postings)

    def n_terms(self) -> int:
        """Return how many terms all documents that are stored have together."""
        return n_terms(self.postings)

    def add(self, vectors: SparseVectors) -> Ids:
        """Store documents and return their numbers."""
        return self.postings.add(vectors)

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or stands twice; nothing is deleted then.
        """
        self.postings.delete(ids)

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k documents of highest `glane.scoring.sparse_dot`, if they share a term.

        Raises:
            ValueError: If `k` is below 1.
        """
        return self.postings.search(queries, k)

    def save(self, folder: str | Path) -> None:
        """Write the index into a folder, made where it is missing."""
        ids, vectors = self.postings.remaining()
        vectors.save(folder)
        np.save(Path(folder) / "ids.npy", ids, allow_pickle=False)
        TermIndexInfo(next_id=self.postings.next_id).write(folder)

    @classmethod
    def load(cls, folder: str | Path) -> TermIndex:
        """Map what `save` wrote.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        info, vectors = TermIndexInfo.read(folder), SparseVectors.load(folder)
        ids = read_array(Path(folder) / "ids.npy", mapped=False)
        index = cls()
        index.postings = restored(folder, ids, vectors, info.next_id)
        return index


def weigh_as_it_is(statistics: Statistics) -> Weigh:
    """Weigh nothing anew: a model's weights hold whatever a collection would add."""
    return lambda term, rows, weights: weights


def restored(folder: str | Path, ids: Ids, vectors: SparseVectors, next_id: int) -> Postings:
    """Return postings of what a folder held.

    Raises:
        CheckpointError: If the arrays do not belong together.
    """
    try:
        check_arrays(ids, vectors, HIGHEST_TERM, next_id)
    except ValueError as error:
        raise CheckpointError(f"{str(folder)!r} is damaged: {error}") from None
    postings = Postings(weigh_as_it_is)
    postings.restore(ids, vectors, next_id)
    return postings


def n_terms(postings: Postings) -> int:
    """Return how many terms all documents that are left have together."""
    return len(postings.remaining()[1].indices)


def active_terms(terms: Ids, weights: Scores) -> tuple[SparseVectors, Ids]:
    """Return the terms of a batch whose weight is above 0, in rising order of their numbers.

    Args:
        terms: Shape (n, n_terms), no term twice in a row.
        weights: Shape (n, n_terms).

    Returns:
        The vectors, and where each of their entries stood in the arrays laid flat.
    """
    n_texts, n_terms = terms.shape
    order = np.argsort(terms, axis=1) + np.arange(n_texts)[:, None] * n_terms
    active = weights.ravel()[order] > 0
    places = order[active]
    vectors = SparseVectors(
        join_lengths(active.sum(axis=1)),
        terms.ravel()[places].astype(np.int32),
        weights.ravel()[places],
    )
    return vectors, places


def decode(vectors: SparseVectors, preparer: TextPreparer) -> list[dict[str, float]]:
    """Return the terms of each row by their names, with their weights, heaviest first."""
    rows = vectors.to_dicts(preparer.token)
    return [dict(sorted(row.items(), key=lambda pair: -pair[1])) for row in rows]
