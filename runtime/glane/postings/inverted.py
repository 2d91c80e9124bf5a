"""Counts by term: for each term the documents that hold it, and the choice of the best scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glane.ragged import check_rising, groups
from glane.types import MOST, Ids, Scores, check_size
from glane.vectors import SparseVectors, check_type

SAMPLE_STEP = 64
"""At most every 64th score is looked at to guess the threshold of the k best."""


@dataclass(frozen=True, slots=True, eq=False)
class InvertedLists:
    """The transpose of `SparseVectors`.

    Attributes:
        terms: int32, shape (n_terms,), the terms that some row holds, rising.
        offsets: int64, shape (n_terms + 1,); `terms[i]` lies at `offsets[i]:offsets[i + 1]`.
        rows: int32, shape (n_postings,), rising within a term.
        values: float32, shape (n_postings,), the value of the term in that row.
    """

    terms: npt.NDArray[np.int32]
    offsets: Ids
    rows: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    @classmethod
    def invert(cls, vectors: SparseVectors) -> InvertedLists:
        """Sort the postings by term, by row within a term.

        Raises:
            ValueError: If a term appears twice in a row.

        >>> vectors = SparseVectors(np.int64([0, 2, 3]), np.int32([4, 0, 4]), np.float32([5, 6, 7]))
        >>> lists = InvertedLists.invert(vectors)
        >>> lists.terms, lists.offsets, lists.rows
        (array([0, 4], dtype=int32), array([0, 1, 3]), array([0, 0, 1], dtype=int32))
        """
        order, begins = groups(vectors.indices)
        rows = np.repeat(np.arange(len(vectors), dtype=np.int32), np.diff(vectors.indptr))[order]
        twice = np.diff(rows, prepend=-1) == 0
        twice[begins] = False
        if twice.any():
            place = int(twice.argmax())
            term = vectors.indices[order[place]]
            raise ValueError(f"term {term} appears twice in row {rows[place]}")
        offsets = np.append(begins, len(order)).astype(np.int64, copy=False)
        return cls(vectors.indices[order[begins]], offsets, rows, vectors.values[order])

    def of(self, term: int) -> tuple[npt.NDArray[np.int32], Scores]:
        """Return rows and values of one term."""
        place = int(np.searchsorted(self.terms, term))
        if place == len(self.terms) or self.terms[place] != term:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        stretch = slice(self.offsets[place], self.offsets[place + 1])
        return self.rows[stretch], self.values[stretch]


def check_terms(vectors: SparseVectors, name: str, most: float = MOST) -> None:
    """Refuse terms and weights that cannot be stored or searched with.

    Args:
        vectors: What was given.
        name: What they are called.
        most: Largest size of a weight.

    Raises:
        TypeError: If they are not `SparseVectors`.
        ValueError: If their offsets fall, a term's number is below 0, or a weight is not finite or
            larger than `most`.
    """
    check_type(vectors, SparseVectors, name)
    check_rising(vectors.indptr, name)
    if vectors.indices.min(initial=0) < 0:
        raise ValueError(f"{name} must hold terms of at least 0, got {vectors.indices.min()}")
    check_size(vectors.values, vectors.indptr, name, most)


def check_counts(vectors: SparseVectors, name: str, most: float = MOST) -> None:
    """Refuse terms and weights that cannot be stored: as `check_terms`, and weights up to 0.

    Raises:
        TypeError: If they are not `SparseVectors`.
        ValueError: If they are broken, or a weight is not above 0.
    """
    check_terms(vectors, name, most)
    if vectors.values.min(initial=1) <= 0:
        place = int((vectors.values <= 0).argmax())
        row = int(np.searchsorted(vectors.indptr, place, side="right")) - 1
        raise ValueError(f"{name} must be above 0, got {vectors.values[place]} in row {row}")


def contenders(scores: Scores, k: int) -> Ids:
    """Return positions among which the k highest scores above 0 are, with all that equal the last.

    A threshold is guessed from a sample and one pass keeps what reaches it: exact if k do. A
    partition of all scores is ten times slower, and slower yet where most are 0.

    Args:
        scores: Shape (n,), at least 0.
        k: At least 1.

    >>> contenders(np.float32([0, 3, 1, 0, 3]), k=1)
    array([1, 2, 4])
    """
    step = min(SAMPLE_STEP, max(1, len(scores) // (16 * k)))
    sample = scores[::step]
    sample = sample[sample > 0]
    rank = 2 * k // step + 8
    if len(sample) > rank:
        place = len(sample) - rank
        positions = np.flatnonzero(scores >= np.partition(sample, place)[place])
        if len(positions) >= k:
            return positions
    return np.flatnonzero(scores > 0)
