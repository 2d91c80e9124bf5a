"""What settings of a search give for judged queries: each setting of a grid, each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import NamedTuple

import numpy as np

from glane.evaluation.choosing import Values
from glane.evaluation.measures import ndcg
from glane.hits import Hits, best
from glane.model.progress import bar
from glane.retrievers.bm25 import BM25
from glane.retrievers.contract import Reranker, Retriever
from glane.retrievers.fusion import DEFAULT_CANDIDATES, DEFAULT_WEIGHT, Scaled, joined, scaled
from glane.types import Ids, Scores

CUTOFF = 10
"""Settings are judged by NDCG at so many documents."""

K1 = (0.6, 0.9, 1.2, 1.5, 2.0, 3.0)
B = (0.3, 0.5, 0.75, 0.9)
CANDIDATES = (DEFAULT_CANDIDATES, 2 * DEFAULT_CANDIDATES)
WEIGHTS = (0.0, 0.1, 0.15, 0.2, DEFAULT_WEIGHT, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""What is tried, the defaults among it."""


class Setting(NamedTuple):
    """One setting of a search; what it does not have is None.

    Attributes:
        k1: Of BM25.
        b: Of BM25.
        candidates: Documents that the retriever hands to the reranker.
        fuse_weight: Share of the retriever in "relative" fusion.
    """

    k1: float | None
    b: float | None
    candidates: int | None
    fuse_weight: float | None

    def changes(self, other: Setting) -> int:
        """Return in how many points two settings differ."""
        return sum(one != another for one, another in zip(self, other, strict=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """A judged query.

    Attributes:
        text: The query.
        grades: Grade of each document that is relevant, above 0, by its number; those that are not
            stored have numbers below 0.
        own: Number of the document that is the query itself, which is passed over, or -1.
    """

    text: str
    grades: Mapping[int, int]
    own: int = -1

    def ndcg(self, ids: Ids) -> float:
        """Return NDCG at `CUTOFF` of a ranking."""
        return ndcg(ids[ids != self.own].tolist(), self.grades, CUTOFF)


def settings_of(retriever: Retriever, reranker: Reranker | None) -> list[Setting]:
    """Return the settings to try, the default first.

    Raises:
        ValueError: If there is nothing to set.
    """
    default = Setting(None, None, None, None)
    axes: list[Sequence[float | None]] = [(None,)] * 4
    if isinstance(retriever, BM25):
        formula = BM25().formula
        default = default._replace(k1=formula.k1, b=formula.b)
        axes[:2] = [K1, B]
    if reranker is not None:
        default = default._replace(candidates=DEFAULT_CANDIDATES, fuse_weight=DEFAULT_WEIGHT)
        axes[2:] = [CANDIDATES, WEIGHTS]
    if default == Setting(None, None, None, None):
        kind = type(retriever).__name__
        raise ValueError(f"{kind} alone has nothing to tune; BM25 has, and any search that reranks")
    grid = [Setting(*point) for point in product(*axes)]  # type: ignore[arg-type]  # by axis
    return [default, *(setting for setting in grid if setting != default)]


def measured(
    retriever: Retriever,
    reranker: Reranker | None,
    queries: Sequence[Asked],
    settings: Sequence[Setting],
) -> Values:
    """Return NDCG@10 of each setting for each query, shape (n_settings, n_queries).

    A document is reranked once a query, whatever the number of settings that find it.

    Args:
        retriever: First stage, with its documents.
        reranker: Second stage, or None.
        queries: At least one.
        settings: At least one, such as `settings_of` returns.
    """
    grid = _by_way(settings)
    width = max(setting.candidates or CUTOFF + 1 for setting in settings)
    texts = [query.text for query in queries]
    asked = retriever.encode_queries(texts)
    found = [_weighed(retriever, *way).search(asked, width) for way in grid]
    again = None if reranker is None else _Again(reranker, texts)
    values = np.empty((len(settings), len(queries)))
    with bar(len(queries), "queries") as shown:
        for number, query in enumerate(queries):
            rows = [hits.row(number) for hits in found]
            second = None if again is None else again.scores(number, [ids for ids, _ in rows])
            for row, places in zip(rows, grid.values(), strict=True):
                both = cache(partial(_both, row, second))  # for all weights alike
                for place in places:
                    setting = settings[place]
                    ids = _best(both(setting.candidates), row, setting.fuse_weight)
                    values[place, number] = query.ndcg(ids)
            shown.update(1)
    return values


class _Again:
    """What a reranker says of documents of the queries."""

    def __init__(self, reranker: Reranker, texts: Sequence[str]) -> None:
        self.reranker = reranker
        self.queries = reranker.encode_queries(texts)

    def scores(self, number: int, found: Sequence[Ids]) -> tuple[Ids, Scores]:
        """Return all documents that were found for a query, rising, and their scores."""
        union = np.unique(np.concatenate(found))
        if not len(union):
            return union, np.empty(0, np.float32)
        hits = Hits(union[None], np.zeros((1, len(union)), np.float32))
        ids, scores = self.reranker.rerank(self.queries[number : number + 1], hits, len(union)).row(
            0
        )
        order = np.argsort(ids)
        return ids[order], scores[order]


def _by_way(settings: Sequence[Setting]) -> dict[tuple[float | None, float | None], list[int]]:
    """Return the places of the settings by k1 and b."""
    grid: dict[tuple[float | None, float | None], list[int]] = {}
    for place, setting in enumerate(settings):
        grid.setdefault((setting.k1, setting.b), []).append(place)
    return grid


def _weighed(retriever: Retriever, k1: float | None, b: float | None) -> Retriever:
    return retriever.weighed(k1, b) if isinstance(retriever, BM25) else retriever


def _both(
    row: tuple[Ids, Scores], second: tuple[Ids, Scores] | None, candidates: int | None
) -> Scaled | None:
    """Return what both stages say of a query's candidates; None where there is one stage alone."""
    if second is None or candidates is None:
        return None
    ids, scores = row[0][:candidates], row[1][:candidates]
    reranked = second[1][np.searchsorted(second[0], ids)]
    return scaled((ids, scores), (ids, reranked), "relative")


def _best(both: Scaled | None, row: tuple[Ids, Scores], weight: float | None) -> Ids:
    """Return the best documents of a query, as a search with this weight gives them."""
    if both is None or weight is None:
        return row[0]
    total = joined(both.first, both.second, weight)
    return both.ids[best(total, both.ids, CUTOFF + 1)]
