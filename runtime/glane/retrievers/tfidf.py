"""TfIdf: the cosine of weighted counts of character n-grams."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.postings.inverted import check_terms
from glane.postings.statistics import Bounds, Statistics, Weigh
from glane.ragged import join_lengths
from glane.retrievers.lengths import (
    NORMS,
    Doubles,
    LengthBounds,
    all_norms,
    idf_of,
    norms_of,
    own_norms,
    weigh,
)
from glane.retrievers.lexical import MOST_COUNT, Lexical
from glane.types import Floats, Ids, Scores
from glane.vectors import SparseVectors


class TfIdf(Lexical):
    """Finds documents by the pieces of words they share with a query; forgiving about spelling.

    The cosine between count · idf of query and document, idf = ln((1 + N) / (1 + df)) + 1 with N
    documents, df of which hold the term: scikit-learn's `TfidfVectorizer` with its defaults. Both
    are computed over the documents that are left at the time of searching.

    >>> tfidf = TfIdf()
    >>> tfidf.add(tfidf.encode_documents(["photosynthesis", "respiration"]))
    array([0, 1])
    >>> tfidf.search(tfidf.encode_queries(["photosinthesis"]), k=1).to_lists()
    [[{'id': 0, 'score': 0.8...}]]
    """

    kind = "tfidf"

    def __init__(self, analyzer: Analyzer = Analyzer("char")) -> None:  # noqa: B008 (frozen)
        """Make an empty retriever.

        Args:
            analyzer: How texts become terms; by default 3- to 5-grams of characters, across words
                as in neural-cherche: NDCG@10 on scifact's train queries .642, within words .626.
        """
        super().__init__(analyzer, weigh_tfidf, own_norms)

    def settings(self) -> dict[str, Any]:
        """Return the arguments, besides the analyzer, that make an equal retriever."""
        return {}

    def weigh_queries(self, queries: SparseVectors) -> SparseVectors:
        """Return count · idf at length 1; terms of deleted documents alone are left out.

        Args:
            queries: From `encode_queries`.
        """
        check_terms(queries, "queries", MOST_COUNT)
        statistics = self._postings.statistics()
        held = statistics.holding(queries.indices)
        known = held > 0
        ends = join_lengths(known.astype(np.int64))[queries.indptr]
        weights = queries.values[known] * idf_of(statistics.n_documents, held[known])
        values = weights / np.repeat(norms_of(ends, weights), np.diff(ends))
        return SparseVectors(ends, queries.indices[known], values.astype(np.float32))

    def _weigh_rows(self, counts: SparseVectors) -> Floats:
        statistics = self._postings.statistics()
        idf = idf_of(statistics.n_documents, statistics.frequencies[counts.indices])
        scales = 1 / norms_of(counts.indptr, counts.values * idf)
        weights: Floats = counts.values * idf * np.repeat(scales, np.diff(counts.indptr))
        return weights


def weigh_tfidf(statistics: Statistics) -> Weigh | Bounds:
    """Return the function that weighs a term's counts at a document's length of 1.

    A document's length depends on the idf of all its terms, and so on all documents. Each segment
    stores the lengths that its rows would have if it were alone, which they have where it is. Where
    it is not, these give bounds.
    """
    parts = statistics.parts
    if any(NORMS not in part.arrays for part in parts):  # written by an older glane
        idf = idf_of(statistics.n_documents, statistics.frequencies)
        return partial(weigh, idf, 1 / all_norms(parts, idf))
    if len(parts) == 1 and parts[0].alive is None and statistics.totals is None:
        return partial(_weigh_alone, statistics.n_documents, parts[0].arrays[NORMS])
    return LengthBounds(statistics)


def _weigh_alone(n_documents: int, norms: Doubles, term: int, rows: Ids, counts: Scores) -> Floats:
    """Weigh where the rows are all that hold the term."""
    weights: Floats = counts * idf_of(n_documents, np.array([len(rows)])) * (1 / norms[rows])
    return weights
