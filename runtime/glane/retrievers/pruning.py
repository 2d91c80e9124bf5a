"""Early exit: a reranker that looks at no more candidates than change the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from glane.hits import Hits
from glane.retrievers.contract import Reranker
from glane.retrievers.fusion import Ranked, Ranking
from glane.types import Ids, Scores


def rerank_pruned(
    reranker: Reranker,
    queries: Any,  # noqa: ANN401 (what the reranker encodes)
    first: Hits,
    k: int,
    ranking: Ranking,
) -> Hits:
    """Order hits anew, `ranking.prune` at a time, until some of them leave the answer as it was.

    The candidates of a query are taken in the retriever's order. Once those of a turn leave the k
    best, as the search ranks them, the same, the others are not looked at: they are not in what
    is returned, and count as the lowest where rankings are fused. So a good document far down the
    retriever's list may be missed; `docs/fusion.md` has how often.

    Args:
        reranker: Orders them.
        queries: From its `encode_queries`, one for each row of hits.
        first: Hits of the retriever.
        k: Documents wanted per query, at least 1.
        ranking: How the search ranks; `prune` is given.

    Returns:
        Shape (n_queries, no wider than `first`), best first; equal scores by lower number.
    """
    width = max(1, first.ids.shape[1])
    rows = [
        _rerank_one(reranker, queries[row : row + 1], first.row(row), k, ranking)
        for row in range(len(first))
    ]
    return Hits.from_rows(rows, width)


def _rerank_one(
    reranker: Reranker,
    query: Any,  # noqa: ANN401 (one row of what the reranker encodes)
    first: tuple[Ids, Scores],
    k: int,
    ranking: Ranking,
) -> tuple[Ids, Scores]:
    """Return the candidates of one query that were looked at, and the reranker's scores."""
    size = ranking.prune or len(first[0])
    ids, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    answer: Ids | None = None
    for begin in range(0, len(first[0]), size):
        turn = Hits.of_ordered([_cut(first, begin, begin + size)], size)
        own_ids, own_scores = reranker.rerank(query, turn, size).row(0)
        ids, scores = np.concatenate([ids, own_ids]), np.concatenate([scores, own_scores])
        seen = Hits.of_ordered([_cut(first, 0, begin + size)], begin + size)
        second = Hits.from_rows([(ids, scores)], len(ids))
        before, answer = answer, Ranked(seen, second).best(k, ranking).ids
        if before is not None and np.array_equal(before, answer):
            break
    return ids, scores


def _cut(row: tuple[Ids, Scores], begin: int, end: int) -> tuple[Ids, Scores]:
    return row[0][begin:end], row[1][begin:end]
