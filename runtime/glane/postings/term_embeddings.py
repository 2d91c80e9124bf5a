"""SparseEmbed's score over stored documents: the kernel, and the index that uses it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Self

import numpy as np

from glane.hits import Hits, check_k, rerank
from glane.maxsim.quantization import widened
from glane.postings.inverted import check_terms
from glane.postings.postings import Postings, forward, weigh_as_it_is
from glane.ragged import take_rows
from glane.store.segments import Segment, Segments, locate, split
from glane.types import Ids, Mask, Scores, check_size
from glane.vectors import TermEmbeddings, check_type, check_width

CANDIDATES = 1000
"""Documents that the weights of terms choose for the vectors to order."""


def sparse_embed_scores(query: TermEmbeddings, documents: TermEmbeddings, rows: Ids) -> Scores:
    """Return `glane.model.scoring.sparse_embed_score` of one query with some documents.

    Args:
        query: One row; float16 is scored as float32.
        documents: Any number of rows, likewise.
        rows: Which of them; of their vectors only those of shared terms are touched.

    Returns:
        Shape (n_rows,).
    """
    offsets, positions = take_rows(documents.terms.indptr, rows)
    terms, asked = documents.terms.indices[positions], query.terms.indices
    place = np.full(1 + terms.max(initial=0), -1)
    known = np.flatnonzero(asked < len(place))
    place[asked[known]] = known
    matches = place[terms]
    shared = np.flatnonzero(matches >= 0)
    left = widened(query.embeddings)[matches[shared]]
    right = widened(documents.embeddings[positions[shared]])
    owners = np.searchsorted(offsets, shared, side="right") - 1
    return np.bincount(owners, np.einsum("td,td->t", left, right), len(rows)).astype(np.float32)


class TermEmbeddingIndex:
    """Terms, weights and vectors of documents; the vectors are kept as float16.

    Attributes:
        dim: Width of a vector.
        candidates: Documents that the weights choose at least, for the vectors to order.
    """

    def __init__(self, dim: int) -> None:
        """Make an empty index.

        Args:
            dim: Width of a vector.
        """
        self.dim = dim
        self.candidates = CANDIDATES
        self._postings = Postings(weigh_as_it_is, beside=("embeddings",))

    def __len__(self) -> int:
        """Return how many documents are stored and not deleted."""
        return len(self._postings)

    def n_terms(self) -> int:
        """Return how many terms all documents that are stored have together."""
        return self._postings.n_terms()

    def add(self, vectors: TermEmbeddings) -> Ids:
        """Store documents and return their numbers; the arrays given are not kept.

        Raises:
            TypeError: If `vectors` are not `TermEmbeddings`.
            ValueError: If they have another width than the index, a term appears twice in a row,
                a weight is not above 0, or a number is not finite or larger than 65,504.
        """
        _check(vectors, self.dim, "vectors")
        embeddings = np.array(vectors.embeddings, np.float16)
        return self._postings.add(vectors.terms, {"embeddings": embeddings})

    def delete(self, ids: Ids) -> None:
        """Forget documents.

        Raises:
            ValueError: If a number is not stored, or appears twice; nothing is deleted then.
        """
        self._postings.delete(ids)

    def search(self, queries: TermEmbeddings, k: int, within: Mask | None = None) -> Hits:
        """Return the k best for each query among the candidates that the weights choose.

        Args:
            queries: Of the index's width.
            k: At least 1.
            within: By number, which documents may be hits; None for all.

        Returns:
            Shape (n_queries, k), best first; equal scores by lower number.

        Raises:
            TypeError: If `k` is not an integer, or `queries` are not `TermEmbeddings`.
            ValueError: If `k` or `candidates` is below 1, or the queries are broken, as in `add`.
        """
        k = check_k(k)
        candidates = max(k, check_k(self.candidates, "candidates"))
        hits = self.chosen(queries, candidates, within)
        return rerank(queries, hits, k, self.scorer())

    def chosen(self, queries: TermEmbeddings, n: int, within: Mask | None = None) -> Hits:
        """Return the n candidates of each query, with the scores of the terms' weights.

        Raises:
            TypeError: As `search`.
            ValueError: Likewise.
        """
        _check(queries, self.dim, "queries")
        return self._postings.search(queries.terms, n, within)

    def scorer(self) -> Callable[[TermEmbeddings, Ids], Scores]:
        """Return the function that scores one query with stored documents, as they are now.

        It takes the query's row and the documents' numbers, rising; a number that is not stored is
        a `ValueError`.
        """
        parts = self._postings.rows.parts

        def score(query: TermEmbeddings, ids: Ids) -> Scores:
            _check(query, self.dim, "queries")
            places = split(parts, locate(parts, ids))
            scores = [sparse_embed_scores(query, _vectors(part), rows) for part, rows in places]
            return np.concatenate([np.empty(0, np.float32), *scores])

        return score

    def snapshot(self) -> Self:
        """Return an equal index; changes of one leave the other alone, and nothing is copied."""
        made = copy(self)
        made._postings = self._postings.snapshot()
        return made

    def tables(self) -> dict[str, Segments]:
        """Return what is stored: the vectors beside the terms."""
        return {"": self._postings.rows}


def _check(vectors: TermEmbeddings, dim: int, name: str) -> None:
    check_type(vectors, TermEmbeddings, name)
    check_width(vectors.dim, dim)
    check_terms(vectors.terms, name)
    check_size(vectors.embeddings, vectors.terms.indptr, name)


def _vectors(part: Segment) -> TermEmbeddings:
    return TermEmbeddings(forward(part), part.arrays["embeddings"])
