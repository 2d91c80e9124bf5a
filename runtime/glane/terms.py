"""Documents by the terms that a model gave them: what Splade searches."""

from __future__ import annotations

import numpy as np

from glane.hits import Hits
from glane.postings import Postings, Statistics, Weigh
from glane.store.segments import Segments
from glane.text import TextPreparer
from glane.types import Ids, Scores
from glane.vectors import SparseVectors, join_lengths


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

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        return {"": self.postings.rows}


def weigh_as_it_is(statistics: Statistics) -> Weigh:
    """Weigh nothing anew: a model's weights hold whatever a collection would add."""
    return lambda term, rows, weights: weights


def n_terms(postings: Postings) -> int:
    """Return how many terms all documents that are left have together."""
    return int(postings.statistics().frequencies.sum())


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
