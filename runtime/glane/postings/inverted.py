"""Counts by term: for each term the documents that hold it, and the choice of the best scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glane.ragged import join_lengths
from glane.types import Ids, Mask, Scores
from glane.vectors import SparseVectors

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

        >>> vectors = SparseVectors(np.int64([0, 2, 3]), np.int32([4, 0, 4]), np.float32([5, 6, 7]))
        >>> lists = InvertedLists.invert(vectors)
        >>> lists.terms, lists.offsets, lists.rows
        (array([0, 4], dtype=int32), array([0, 1, 3]), array([0, 0, 1], dtype=int32))
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
        terms = np.flatnonzero(lengths)
        offsets = join_lengths(lengths[terms])
        return cls(terms.astype(np.int32), offsets, rows[order], vectors.values[order])

    @classmethod
    def join(cls, parts: Sequence[InvertedLists], n_rows: Sequence[int]) -> InvertedLists:
        """Return the lists of the rows of all parts, in order; nothing is sorted.

        Args:
            parts: Any number of lists.
            n_rows: How many rows each part has, those without a term included.
        """
        terms = np.unique(np.concatenate([np.empty(0, np.int32), *(part.terms for part in parts)]))
        own = [np.searchsorted(terms, part.terms) for part in parts]
        lengths = np.zeros((len(parts) + 1, len(terms)), np.int64)
        for number, part in enumerate(parts):
            lengths[number + 1, own[number]] = np.diff(part.offsets)
        offsets = join_lengths(lengths.sum(0))
        begins = offsets[:-1] + lengths.cumsum(0)  # of each part's stretch of each term
        rows, values = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
        first = 0
        for number, part in enumerate(parts):
            shift = begins[number, own[number]] - part.offsets[:-1]
            places = np.repeat(shift, np.diff(part.offsets))
            places += np.arange(len(places))
            rows[places] = part.rows + np.int32(first)
            values[places] = part.values
            first += n_rows[number]
        return cls(terms, offsets, rows, values)

    def kept(self, alive: Mask) -> InvertedLists:
        """Return the lists of some rows, which are then counted anew."""
        keep = alive[self.rows]
        rows = (alive.cumsum(dtype=np.int32) - np.int32(1))[self.rows[keep]]
        ends = join_lengths(keep.astype(np.int64))[self.offsets]
        lengths = np.diff(ends)
        left = lengths > 0
        return InvertedLists(self.terms[left], join_lengths(lengths[left]), rows, self.values[keep])

    def of(self, term: int) -> tuple[npt.NDArray[np.int32], Scores]:
        """Return rows and values of one term."""
        place = int(np.searchsorted(self.terms, term))
        if place == len(self.terms) or self.terms[place] != term:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        stretch = slice(self.offsets[place], self.offsets[place + 1])
        return self.rows[stretch], self.values[stretch]


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
