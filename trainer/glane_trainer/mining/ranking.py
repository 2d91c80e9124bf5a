"""Where candidates come from: each of our retrievers, reranked and fused or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from glane.collection.ids import find_ids
from glane.hits import Hits
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import FusionSettings, fuse
from glane.retrievers.passages import plain
from glane.search import Search
from glane.types import Ids, Mask, Scores


class Ranked:
    """Rankings of some queries."""

    def __init__(self, hits: Hits, found: Sequence[Ids]) -> None:
        """Take rankings.

        Args:
            hits: What was found, and the answers; one row a query, best first.
            found: Numbers of what was found by itself, for each query.
        """
        self._hits, self._found = hits, found

    def order(self, query: int) -> list[int]:
        """Return the numbers of what was found for a query, best first."""
        ids, _ = self._hits.row(query)
        order: list[int] = ids[np.isin(ids, self._found[query])].tolist()
        return order

    def ranks(self, query: int, numbers: Ids) -> list[int]:
        """Return the rank of some documents among what was found, from 1; 0 of what was not."""
        place = {number: rank for rank, number in enumerate(self.order(query), 1)}
        return [place.get(number, 0) for number in numbers.tolist()]

    def scores(self, query: int, numbers: Ids) -> Scores:
        """Return the scores of some documents, found or known to answer the query."""
        ids, scores = self._hits.row(query)
        order = np.argsort(ids)
        return scores[order[np.searchsorted(ids, numbers, sorter=order)]]


class Ranker(Protocol):
    """Ranks documents of a `Ground`, by their numbers in it."""

    def rank(self, queries: Sequence[str], answers: Sequence[Ids], k: int) -> Ranked:
        """Return the k best documents of each query, with those that are known to answer it.

        Args:
            queries: Any strings.
            answers: Numbers of documents for each query, which are scored whether found or not.
            k: Documents to find, at least 1.
        """
        ...

    def record(self) -> dict[str, object]:
        """Return what decides the ranking, as JSON."""
        ...


class SearchRanker:
    """A `Search`, by the ranking that it gives: the retriever's, the reranker's, or both fused."""

    def __init__(
        self,
        search: Search,
        names: Sequence[str],
        option: FusionSettings,
        n_found: int | None = None,
    ) -> None:
        """Take a search that holds all documents.

        Args:
            search: It may hold others, which are not found then.
            names: Ids of the documents, by their numbers.
            option: How it ranks where that is not left to the search.
            n_found: How many of the documents can be found, the first; the others are only scored
                where they are known to answer. None for all.

        Raises:
            ValueError: If the search lacks one of the documents, or fusion is asked for without a
                reranker.
        """
        self._search, self._ranking = search, search.ranking(option)
        self._numbers = find_ids(search.keys, names)
        lacking = np.flatnonzero(self._numbers < 0)
        if len(lacking):
            raise ValueError(
                f"the index lacks {len(lacking)} of the {len(names)} documents, such as "
                f"{names[int(lacking[0])]!r}; add them, or leave --index out"
            )
        self._places = np.full(search.keys.rows.next_id, -1)
        self._places[self._numbers] = np.arange(len(names))
        self._n_found = len(names) if n_found is None else n_found

    def record(self) -> dict[str, object]:
        """Return the stages, and how they are joined."""
        stages = {place: stage.record() for place, stage in self._search.stages().items()}
        ranking = self._ranking
        joined = [ranking.fuse, ranking.fuse_weight, ranking.candidates]
        return {"stages": stages, "ranking": joined, "on": self._search.on}

    def rank(self, queries: Sequence[str], answers: Sequence[Ids], k: int) -> Ranked:
        """Return the k best documents of each query, and its answers; see `Ranker.rank`."""
        retriever, reranker = self._search.retriever, self._search.reranker
        asked = retriever.encode_queries(queries)
        width = k if reranker is None else max(k, self._ranking.candidates)
        width = max(1, min(width, len(self._search)))
        first = retriever.search(asked, width, self._within())
        rows = [first.row(query) for query in range(len(queries))]
        found = [ids for ids, _ in rows]
        for query, own in enumerate(self._numbers[each] for each in answers):
            lacking = np.setdiff1d(own, found[query])
            scores = self._scores(retriever, asked[query : query + 1], lacking)
            both = np.concatenate([found[query], lacking])
            rows[query] = both, np.concatenate([rows[query][1], scores])
        hits = Hits.from_rows(rows, max([1, *(len(ids) for ids, _ in rows)]))
        if reranker is not None:
            hits = self._joined(reranker, queries, hits)
        places = np.where(hits.ids >= 0, self._places[hits.ids], -1)
        return Ranked(Hits(places, hits.scores), [self._places[each] for each in found])

    def _joined(self, reranker: Reranker, queries: Sequence[str], first: Hits) -> Hits:
        k = first.ids.shape[1]
        second = reranker.rerank(reranker.encode_queries(queries), first, k)
        ranking = self._ranking
        if ranking.fuse == "none":
            return second
        return fuse(first, second, k, ranking.fuse, ranking.fuse_weight)

    def _within(self) -> Mask | None:
        """Return which documents are looked for, None where that is all."""
        if self._n_found == len(self._search):
            return None
        return (self._places >= 0) & (self._places < self._n_found)

    def _scores(self, stage: Retriever, query: object, ids: Ids) -> Scores:
        """Return the scores of one query with some documents, given by rising number.

        A document that a retriever does not find when it looks at these alone shares no term with
        the query: 0.
        """
        if not len(ids):
            return np.zeros(0, np.float32)
        if isinstance(stage, Reranker) and isinstance(plain(stage), Reranker):
            given = Hits(ids[None], np.zeros((1, len(ids)), np.float32))
            hits = stage.rerank(query, given, len(ids))
        else:
            within = np.zeros(len(self._places), np.bool_)
            within[ids] = True
            hits = stage.search(query, len(ids), within)
        scores = np.zeros(len(ids), np.float32)
        numbers, own = hits.row(0)
        scores[np.searchsorted(ids, numbers)] = own
        return scores
