"""The passages of documents: their representations, and whose each stored one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from glane.hits import NO_ID, Hits
from glane.model.passages import Spans
from glane.ragged import Rows, check_rising, checked_offsets, join_lengths, join_offsets, take_rows
from glane.store.segments import Columns, Parts, Segment, join_ragged, join_rows
from glane.types import Ids
from glane.vectors import TermEmbeddings, TokenVectors


@dataclass(frozen=True, slots=True, eq=False)
class PassageVectors:
    """Representations of n documents, one for each passage.

    Attributes:
        offsets: int64, shape (n + 1,), first 0; document i has the passages
            `offsets[i]:offsets[i + 1]`, at least one.
        spans: int32, shape (n_passages, 2), where each lies in its document's text.
        vectors: As the stage makes them, one row a passage.
    """

    offsets: Ids
    spans: Spans
    vectors: Any

    def __post_init__(self) -> None:
        checked_offsets(self.offsets, "offsets", len(self.vectors))
        check_rising(self.offsets, "passages")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: Rows) -> PassageVectors:
        """Return some documents, by slice or by an array of row numbers, in the order given."""
        offsets, passages = take_rows(self.offsets, rows)
        return PassageVectors(offsets, self.spans[passages], self.vectors[passages])

    def half(self) -> PassageVectors:
        """Return the same in the precision it is stored in."""
        if not isinstance(self.vectors, TokenVectors | TermEmbeddings):
            return self
        return PassageVectors(self.offsets, self.spans, self.vectors.half())

    @classmethod
    def concatenate(cls, parts: Sequence[PassageVectors]) -> PassageVectors:
        """Return the documents of all parts, in order.

        Raises:
            ValueError: If there is no part.
        """
        if not parts:
            raise ValueError("parts must hold at least one PassageVectors, got none")
        return cls(
            join_offsets([part.offsets for part in parts]),
            np.concatenate([part.spans for part in parts]),
            type(parts[0].vectors).concatenate([part.vectors for part in parts]),
        )


class Placement(NamedTuple):
    """Which passages are whose: both numbers rise together, in order of writing.

    Attributes:
        ids: Numbers of the documents that are left, rising.
        firsts: Number of each one's first passage, rising.
        counts: How many it has, the others' numbers following the first.
    """

    ids: Ids
    firsts: Ids
    counts: Ids

    def rows(self, ids: Ids) -> Ids:
        """Return at which places some documents stand.

        Raises:
            ValueError: If one is not left.
        """
        rows = np.searchsorted(self.ids, ids)
        known = np.append(self.ids, NO_ID)[rows] == ids
        if not known.all():
            raise ValueError(f"unknown document {ids[~known][0]}; it is not stored")
        return rows

    def passages(self, ids: Ids) -> Ids:
        """Return the numbers of all passages of some documents, rising where these do."""
        rows = self.rows(ids)
        counts = self.counts[rows]
        shift = np.repeat(self.firsts[rows] - join_lengths(counts)[:-1], counts)
        return np.arange(int(counts.sum())) + shift

    def documents(self, passages: Ids) -> Ids:
        """Return whose each passage is."""
        return self.ids[np.searchsorted(self.firsts, passages, side="right") - 1]

    def by_document(self, hits: Hits, k: int) -> Hits:
        """Return the k documents of the best passages for each query."""
        rows = []
        for query in range(len(hits)):
            passages, scores = hits.row(query)
            ids, firsts = np.unique(self.documents(passages), return_index=True)
            rows.append((ids, scores[firsts]))  # the first of a document is its best
        return Hits.from_rows(rows, k)

    @classmethod
    def of(cls, parts: Parts) -> Self:
        """Return the placement of the documents that are left in some segments."""
        nothing = np.empty(0, np.int64)
        ids = [segment.ids[segment.kept] for segment in parts]
        firsts = [segment.whole("firsts")[segment.kept] for segment in parts]
        counts = [np.diff(segment.whole("offsets"))[segment.kept] for segment in parts]
        return cls(*(np.concatenate([nothing, *each]) for each in (ids, firsts, counts)))


def join_passages(parts: Sequence[Segment]) -> Columns:
    """Return the arrays of the documents that are left in some segments, in order."""
    return {**join_ragged(parts, "offsets", "spans"), **join_rows(parts, "firsts")}
