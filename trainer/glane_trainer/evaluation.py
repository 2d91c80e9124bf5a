"""Measures a model on held-out queries, cheaply enough to do it while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from glane.collection.dataset import Dataset
from glane.evaluation.measures import ndcg as ndcg
from glane.hits import best
from glane.model.checkpoint import Checkpoint
from glane.retrievers.bm25 import BM25
from glane.retrievers.fusion import DEFAULT_WEIGHT, joined, standardised
from glane.types import Ids, Scores
from glane.vectors import SparseVectors, TermEmbeddings

CANDIDATES = 20
"""BM25's best documents that are ranked for a query, besides those that answer it, usually."""


class Measured(NamedTuple):
    """What a model gives for held-out queries.

    Attributes:
        values: NDCG@10 of each, in [0, 1].
        scores: The model's score of each candidate of each query.
        query_terms: Terms that a query has on average, of a model with terms; else None.
        document_terms: The same of a document.
    """

    values: list[float]
    scores: list[Scores]
    query_terms: float | None
    document_terms: float | None


class Scorer(Protocol):
    """A model that encodes and scores; `Any` is its own kind of vectors."""

    @property
    def checkpoint(self) -> Checkpoint:
        """What kind of model it is."""
        ...

    def encode_queries(self, queries: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the vectors of queries."""

    def encode_documents(self, documents: Sequence[str]) -> Any:  # noqa: ANN401
        """Return the vectors of documents."""

    def score(self, queries: Any, documents: Any) -> Scores:  # noqa: ANN401
        """Return the scores, shape (n_queries, n_documents)."""
        ...


class Evaluator:
    """Held-out queries with fixed candidates: the judged positives and BM25's best.

    Attributes:
        ids: Of the queries.
        queries: Texts.
        documents: Texts of all candidates, each once.
    """

    def __init__(
        self, dataset: Dataset, n_queries: int, seed: int, n_candidates: int = CANDIDATES
    ) -> None:
        """Choose the queries and find their candidates.

        Args:
            dataset: Held out.
            n_queries: Queries at most, at least 1.
            seed: Decides which.
            n_candidates: Of BM25's best for each, at least 1.
        """
        self.ids = ids = _choose(dataset, n_queries, seed)
        self.queries = [dataset.queries[id] for id in ids]
        names = list(dataset.corpus)
        numbers = {name: number for number, name in enumerate(names)}
        texts = list(dataset.corpus.values())
        bm25 = BM25()
        bm25.add(bm25.encode_documents(texts))
        hits = bm25.search(bm25.encode_queries(self.queries), k=n_candidates)
        for id in ids:  # what the corpus lacks is never found, but the best ranking has it
            for name in dataset.judgements[id]:
                numbers.setdefault(name, -1 - len(numbers))
        self._grades = [
            {numbers[name]: grade for name, grade in dataset.judgements[id].items()} for id in ids
        ]
        relevant = [[n for n, g in row.items() if g > 0 and n >= 0] for row in self._grades]
        candidates = [np.union1d(hits.row(row)[0], relevant[row]) for row in range(len(ids))]
        pool = np.unique(np.concatenate([np.empty(0, np.int64), *candidates])).astype(np.int64)
        self.documents = [texts[number] for number in pool]
        self._pool = pool
        self._rows: list[Ids] = [np.searchsorted(pool, row) for row in candidates]
        self._first = [
            standardised(*hits.row(row), candidates[row]) for row in range(len(candidates))
        ]

    def __call__(self, model: Scorer) -> Measured:
        """Return what a model gives for the queries; no text is encoded twice.

        The candidates are ranked as a search with the model ranks them by default: a ColBERT
        reranks, and is fused with BM25; the other kinds search by themselves. A query with a score
        that is no number has the value nan.
        """
        queries = model.encode_queries(self.queries)
        documents = model.encode_documents(self.documents)
        scores = [
            model.score(queries[number : number + 1], documents[rows])[0]
            for number, rows in enumerate(self._rows)
        ]
        weight = DEFAULT_WEIGHT if model.checkpoint.kind == "colbert" else None
        terms = [
            float(np.diff(texts.indptr).mean()) if isinstance(texts, SparseVectors) else None
            for texts in (_terms_of(queries), _terms_of(documents))
        ]
        return Measured(self.values(scores, weight), scores, *terms)

    def values(self, scores: Sequence[Scores], weight: float | None) -> list[float]:
        """Return the NDCG@10 of each query; nan where a score is no number.

        Args:
            scores: A model's, of each candidate of each query.
            weight: BM25's share in the ranking, in "relative" fusion; None for the model's alone.
        """
        found = []
        for number, own in enumerate(scores):
            if np.isnan(own).any():
                found.append(float("nan"))
                continue
            pool, ranked = self._pool[self._rows[number]], own
            if weight is not None:
                ranked = joined(self._first[number], standardised(pool, own, pool), weight)
            order = pool[best(ranked, pool, 10)]
            found.append(ndcg(order.tolist(), self._grades[number]))
        return found


def _terms_of(vectors: object) -> object:
    return vectors.terms if isinstance(vectors, TermEmbeddings) else vectors


def _choose(dataset: Dataset, n_queries: int, seed: int) -> list[str]:
    """Return the ids of some queries that have an answer, in the order of the collection."""
    answered = [
        id
        for id, grades in dataset.judgements.items()
        if any(grade > 0 and name in dataset.corpus for name, grade in grades.items())
    ]
    if not answered:
        raise ValueError("no held-out query is judged to have an answer")
    order = np.random.default_rng([seed, 3]).permutation(len(answered))[:n_queries]
    return [answered[position] for position in sorted(order)]
