"""Counts by term: for each term the documents that hold it, and the choice of the best scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glane.types import Ids, Scores
from glane.vectors import SparseVectors

SAMPLE_STEP = 64
"""At most every 64th score is looked at to guess the threshold of the k best."""


@dataclass(frozen=True, slots=True, eq=False)
class InvertedLists:
    """The transpose of `SparseVectors`.

    Attributes:
        offsets: int64, shape (n_terms + 1,); term t lies at `offsets[t]:offsets[t + 1]`.
        rows: int32, shape (n_postings,), rising within a term.
        values: float32, shape (n_postings,), the value of the term in that row.
        n_rows: Rows of the vectors, empty ones included.
    """

    offsets: Ids
    rows: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    n_rows: int

    @property
    def n_terms(self) -> int:
        """One more than the highest term number."""
        return len(self.offsets) - 1

    @classmethod
    def invert(cls, vectors: SparseVectors) -> InvertedLists:
        """Sort the postings by term, by row within a term.

        >>> vectors = SparseVectors(np.int64([0, 2, 3]), np.int32([1, 0, 1]), np.float32([5, 6, 7]))
        >>> lists = InvertedLists.invert(vectors)
        >>> lists.offsets, lists.rows
        (array([0, 1, 3]), array([0, 0, 1], dtype=int32))
        """
        # One integer holds term and place: numpy sorts plain integers several times faster than
        # it finds the order of an array.
        bits = np.uint64(len(vectors.indices).bit_length())
        keys = vectors.indices.astype(np.uint64) << bits
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
        rows = np.repeat(np.arange(len(vectors), dtype=np.int32), np.diff(vectors.indptr))
        lengths = np.bincount(vectors.indices, minlength=0)
        return cls(_offsets(lengths), rows[order], vectors.values[order], len(vectors))

    def extend(self, vectors: SparseVectors) -> InvertedLists:
        """Return lists that hold further rows too; only these are sorted."""
        new = InvertedLists.invert(vectors)
        if not self.n_rows:
            return new
        n_terms = max(self.n_terms, new.n_terms)
        own_lengths, new_lengths = self.lengths(n_terms), new.lengths(n_terms)
        offsets = _offsets(own_lengths + new_lengths)
        rows = np.empty(offsets[-1], np.int32)
        values = np.empty(offsets[-1], np.float32)
        for part, begins, lengths, shift in (
            (self, offsets[:-1], own_lengths, 0),
            (new, offsets[:-1] + own_lengths, new_lengths, self.n_rows),
        ):
            places = np.repeat(begins - _offsets(lengths)[:-1], lengths)
            places += np.arange(len(places))
            rows[places] = part.rows + np.int32(shift)
            values[places] = part.values
        return InvertedLists(offsets, rows, values, self.n_rows + new.n_rows)

    def lengths(self, n_terms: int) -> Ids:
        """Return how many rows hold each term, shape (n_terms,), at least as many as there are."""
        lengths = np.zeros(n_terms, np.int64)
        lengths[: self.n_terms] = np.diff(self.offsets)
        return lengths

    def of(self, term: int) -> tuple[Ids, Scores]:
        """Return rows (int64, as indexing is fastest with) and values of one term."""
        if term >= self.n_terms:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        place = slice(self.offsets[term], self.offsets[term + 1])
        return self.rows[place].astype(np.int64), self.values[place]


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


def _offsets(lengths: Ids) -> Ids:
    return np.concatenate([np.zeros(1, np.int64), lengths]).cumsum(dtype=np.int64)
