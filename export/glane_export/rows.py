"""What a road gives for one text, and what is compared of two: token vectors, or terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from glane.maxsim.kernel import maxsim_scores
from glane.model.preparation import Batch
from glane.model.scoring import sparse_dot, sparse_embed_score
from glane.ragged import join_lengths
from glane.types import Floats, Ids, Scores
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

Sides = tuple[Floats, Floats]
"""An array, and what should be equal to it."""

NO_TERM = -1
"""In the place of a term where a row has fewer than another (`sparse_embed_score`)."""


class Row(ABC):
    """One text, encoded."""

    @abstractmethod
    def components(self, other: Any) -> dict[str, Sides]:  # noqa: ANN401 (a row of the same kind)
        """Return all that should be equal in the same text's row by another road, by name."""

    @abstractmethod
    def directions(self, other: Any) -> Sides:  # noqa: ANN401
        """Return the vectors of length 1 whose cosine says how near the two are."""

    @abstractmethod
    def scores(self, documents: Sequence[Any]) -> Scores:
        """Return the score of this row, as a query's, with each document."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenRow(Row):
    """The token vectors of a ColBERT.

    Attributes:
        vectors: Of the tokens that count, shape (n_tokens, dim), each of length 1.
    """

    vectors: Floats

    @classmethod
    def from_outputs(cls, batch: Batch, vectors: Floats) -> list[Row]:
        """Return the rows of a batch from `token_vectors`."""
        return [cls(row[mask]) for row, mask in zip(vectors, batch.score_mask, strict=True)]

    def components(self, other: Self) -> dict[str, Sides]:
        """Return the vectors."""
        return {"a vector": self.directions(other)}

    def directions(self, other: Self) -> Sides:
        """Return the vectors."""
        return self.vectors, other.vectors

    def scores(self, documents: Sequence[Self]) -> Scores:
        """Return the MaxSim with each document."""
        lengths = [len(row.vectors) for row in documents]
        stored = TokenVectors(
            join_lengths(lengths), np.concatenate([row.vectors for row in documents])
        )
        asked = TokenVectors(join_lengths([len(self.vectors)]), self.vectors)
        scores: Scores = maxsim_scores(asked, stored)[0]
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class TermRow(Row):
    """The active terms of a sparse model.

    Attributes:
        terms: int64, shape (n_terms,), ascending.
        weights: Shape (n_terms,), above 0.
        embeddings: Shape (n_terms, dim); None of a model without.
        border: What no term weighs that was cut away; 0 where none was.
    """

    terms: Ids
    weights: Floats
    embeddings: Floats | None
    border: float

    @classmethod
    def from_outputs(
        cls, terms: Ids, weights: Floats, embeddings: Floats | None = None
    ) -> list[Row]:
        """Return the rows of a batch from what a sparse model's graph puts out."""
        rows: list[Row] = []
        for text, own_weights in enumerate(weights):
            active = np.flatnonzero(own_weights > 0)
            chosen = active[np.argsort(terms[text, active])]
            own = None if embeddings is None else embeddings[text, chosen]
            border = float(own_weights.min())
            rows.append(cls(terms[text, chosen], own_weights[chosen], own, border))
        return rows

    def components(self, other: Self) -> dict[str, Sides]:
        """Return the weights of all terms of either, and the embeddings of those they share.

        A term that one side has cut away weighs there what the other says, as far as the border
        allows: which of several equal terms is cut makes no difference.
        """
        union = np.union1d(self.terms, other.terms)
        left, right = self._spread(union), other._spread(union)
        whole_left = np.where(left == 0, np.minimum(right, self.border), left)
        whole_right = np.where(right == 0, np.minimum(left, other.border), right)
        parts = {"a weight": (whole_left, whole_right)}
        if self.embeddings is not None and other.embeddings is not None:
            _, first, second = np.intersect1d(self.terms, other.terms, return_indices=True)
            parts["an embedding"] = self.embeddings[first], other.embeddings[second]
        return parts

    def directions(self, other: Self) -> Sides:
        """Return both as sparse vectors of length 1; without a term on either side, no row."""
        union = np.union1d(self.terms, other.terms)
        left, right = (_unit(row._spread(union))[None] for row in (self, other))
        return (left, right) if len(union) else (left[:0], right[:0])

    def shared(self, other: Self) -> float:
        """Return how many terms both have, of those of the longer row; 1 without any."""
        longest = max(len(self.terms), len(other.terms))
        return len(np.intersect1d(self.terms, other.terms)) / longest if longest else 1.0

    def scores(self, documents: Sequence[Self]) -> Scores:
        """Return the score with each document, by the definition in `glane.model.scoring`."""
        scores: Scores
        if self.embeddings is None:
            union = np.unique(np.concatenate([self.terms, *(row.terms for row in documents)]))
            stored = np.array([row._spread(union) for row in documents])
            scores = sparse_dot(self._spread(union)[None], stored, xp=np)[0]
            return scores
        width = max(len(row.terms) for row in documents)
        terms = np.full((len(documents), width), NO_TERM, np.int64)
        embeddings = np.zeros((*terms.shape, self.embeddings.shape[1]), np.float32)
        for number, row in enumerate(documents):
            terms[number, : len(row.terms)] = row.terms
            embeddings[number, : len(row.terms)] = row.embeddings
        scores = sparse_embed_score(self.terms, terms, self.embeddings, embeddings, xp=np)
        return scores

    def _spread(self, union: Ids) -> Floats:
        """Return the weight of each term of a union, 0 where the row lacks it."""
        values = np.zeros(len(union), np.float32)
        values[np.searchsorted(union, self.terms)] = self.weights
        return values


def rows_of(vectors: TokenVectors | SparseVectors | TermEmbeddings, n_terms: int) -> list[Row]:
    """Return a row for each text of what a model's `encode_queries` or `encode_documents` gives.

    Args:
        vectors: Of any number of texts.
        n_terms: Terms that a text keeps at most.
    """
    rows: list[Row] = []
    for number in range(len(vectors)):
        row = vectors[number : number + 1]
        if isinstance(row, TokenVectors):
            rows.append(TokenRow(row.values))
            continue
        terms, embeddings = (
            (row.terms, row.embeddings) if isinstance(row, TermEmbeddings) else (row, None)
        )
        whole = len(terms.values) < n_terms
        border = 0.0 if whole else float(terms.values.min())
        rows.append(TermRow(terms.indices.astype(np.int64), terms.values, embeddings, border))
    return rows


def _unit(vector: Floats) -> Floats:
    """Return a vector of length 1, or of zeros alone."""
    length = np.float32(np.linalg.norm(vector))
    return vector / max(length, np.finfo(np.float32).tiny)
