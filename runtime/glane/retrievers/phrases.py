"""Exact phrases: hits of a lexical retriever that hold what a query has in quotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glane.analysis.phrases import needed, phrases, spelled
from glane.collection.fields import joined_fields
from glane.hits import Hits
from glane.retrievers.lexical import Lexical
from glane.store.documents import Documents
from glane.types import Ids, Mask, Scores
from glane.vectors import SparseVectors

AT_ONCE = 64
"""Documents that are read at once."""

WIDER = 4
"""How many times as many hits are looked at where too few of the best hold the phrases."""


@dataclass(frozen=True, slots=True)
class Quoting:
    """A lexical retriever whose hits hold each phrase of their query in one of the fields.

    The terms of a phrase tell which documents may hold it; of these the hits are read, best first,
    until there are enough that do, or no more.

    Attributes:
        stage: The retriever.
        kept: The documents; None where they are not kept.
        on: The fields that are searched.
    """

    stage: Lexical
    kept: Documents | None
    on: Sequence[str]

    def search(
        self, texts: Sequence[str], queries: SparseVectors, k: int, within: Mask | None
    ) -> Hits:
        """Return the k best documents for each query; see `Lexical.search`.

        Args:
            texts: The queries.
            queries: What the retriever makes of them.
            k: At least 1.
            within: By number, which documents may be hits; None for all.

        Raises:
            ValueError: If a query has a phrase, and documents are not kept.
        """
        asked = [phrases(self.stage.analyzer, text) for text in texts]
        if not any(asked):
            return self.stage.search(queries, k, within)
        if self.kept is None:
            text = next(text for text, own in zip(texts, asked, strict=True) if own)
            raise ValueError(
                f"the query {text!r} has a phrase in quotes, and the documents to look for it in "
                "are not kept; leave the quotes out, or index with the documents "
                "(keep_documents=True, without --no-documents)"
            )
        rows = [self._row(queries[row : row + 1], own, k, within) for row, own in enumerate(asked)]
        return Hits.from_rows(rows, k)

    def _row(
        self, query: SparseVectors, wanted: list[str], k: int, within: Mask | None
    ) -> tuple[Ids, Scores]:
        """Return the k best documents for one query, best first."""
        if not wanted:
            return self.stage.search(query, k, within).row(0)
        terms = [term for phrase in wanted for term in needed(self.stage.analyzer, phrase)]
        if terms:
            having = self.stage.holding(terms)
            within = having if within is None else within & having
        held: list[int] = []  # places among the best so far: a wider look begins with the same
        n_read, width = 0, WIDER * k
        while True:
            ids, scores = self.stage.search(query, width, within).row(0)
            while n_read < len(ids) and len(held) < k:
                some = ids[n_read : n_read + AT_ONCE]
                held += (n_read + np.flatnonzero(self._hold(wanted, some))).tolist()
                n_read += len(some)
            if len(held) >= k or len(ids) < width:
                found = np.array(held[:k], np.int64)
                return ids[found], scores[found]
            width *= WIDER

    def _hold(self, wanted: Sequence[str], numbers: Ids) -> list[bool]:
        """Return which of some documents hold each of some phrases."""
        assert self.kept is not None, "`search` looks that they are"
        return [self._holds(wanted, document) for document in self.kept.get(numbers)]

    def _holds(self, wanted: Sequence[str], document: Mapping[str, Any]) -> bool:
        """Return whether a document holds each of some phrases."""
        fields = joined_fields(document, self.on)
        texts = [spelled(self.stage.analyzer, field.text) for field in fields]
        return all(any(phrase in text for text in texts) for phrase in wanted)
