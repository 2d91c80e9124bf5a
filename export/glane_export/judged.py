"""What int8 costs on a collection with judgements: NDCG@10 over a part of its documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glane import BM25, Hits, Results
from glane.collection.dataset import Dataset, read_beir
from glane.evaluation.measures import evaluate
from glane.retrievers.contract import Reranker
from glane_export.parity import Bound, ndcg_loss
from glane_export.roads import load_runtime

N_QUERIES = 300
N_CANDIDATES = 10
"""What bounds the time: at most so many queries, spread over the split, and candidates each. More
queries tell more than more candidates: see the standard errors in `docs/export.md`."""


class Judged(NamedTuple):
    """A part of a collection, small enough to encode twice.

    Attributes:
        dataset: The queries, their judgements and the whole corpus; what it counts is of the split.
        hits: BM25's candidates of each query, as positions in `ids`.
        ids: The id of each candidate.
    """

    dataset: Dataset
    hits: Hits
    ids: list[str]


def read_judged(folder: Path, split: str) -> Judged:
    """Read a collection and find the candidates.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line is malformed.
    """
    whole = read_beir(folder, split)
    rows = np.linspace(0, len(whole.queries) - 1, min(N_QUERIES, len(whole.queries))).astype(int)
    names = [list(whole.queries)[row] for row in rows]
    queries = {name: whole.queries[name] for name in names}
    judgements = {name: whole.judgements[name] for name in names}
    dataset = replace(whole, queries=queries, judgements=judgements)
    bm25 = BM25()
    bm25.add(bm25.encode_documents(list(dataset.corpus.values())))
    found = bm25.search(bm25.encode_queries(list(queries.values())), k=N_CANDIDATES)
    numbers = np.unique(found.ids[found.ids >= 0])
    ids = np.where(found.ids >= 0, np.searchsorted(numbers, found.ids), found.ids)
    return Judged(dataset, Hits(ids, found.scores), [list(dataset.corpus)[i] for i in numbers])


def judged_loss(
    compared: str, judged: Judged, before: Path, after: Path, threads: int | None
) -> Bound:
    """Measure the NDCG@10 that one model folder loses against another, over the same documents.

    A model that reranks orders each query's candidates; one that does not, a Splade, searches the
    candidates of all queries.
    """
    values = [_ndcg(judged, folder, threads) for folder in (before, after)]
    return ndcg_loss(compared, judged.dataset.queries, *values)


def _ndcg(judged: Judged, folder: Path, threads: int | None) -> dict[str, float]:
    dataset = judged.dataset
    model = load_runtime(folder, threads)
    texts = [dataset.corpus[id] for id in judged.ids]
    model.add(model.encode_documents(texts, progress=True))
    queries = list(dataset.queries.values())
    asked = model.encode_queries(queries)
    if isinstance(model, Reranker):
        hits = model.rerank(asked, judged.hits, k=N_CANDIDATES)
    else:
        hits = model.search(asked, k=N_CANDIDATES)
    rows = dict(zip(queries, hits.to_lists(), strict=True))

    def answer(query: str, k: int) -> Results:
        row = rows[query][:k]
        return Results(
            [[judged.ids[int(hit["id"])] for hit in row]], [[hit["score"] for hit in row]]
        )

    return evaluate(answer, dataset, ["ndcg@10"]).per_query
