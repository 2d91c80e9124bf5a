"""What int8 costs on a collection with judgements: NDCG@10 over a part of its documents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glane import BM25, ColBERT, Hits, Results, TokenStorage
from glane.collection.dataset import Dataset, read_beir
from glane.evaluation.choosing import NORMAL, t_quantile
from glane.evaluation.measures import evaluate
from glane.retrievers.contract import Reranker
from glane.retrievers.neural import Neural
from glane_export.parity import Bound
from glane_export.roads import Probe, load_runtime
from glane_trainer.sample import Sample

N_QUERIES = 300
N_CANDIDATES = 10
"""What bounds the time: so many queries at a time, and candidates each. More queries tell more than
more candidates: see the standard errors in `docs/export.md`."""

LOST = 0.004
"""A loss of NDCG@10 that is shown to be above this is refused."""

UNSHOWN = 0.01
"""A loss that is not shown to be below this is refused as well."""

LEAST_DEVIATION = 0.02
"""Standard deviation of a query's loss that is reckoned with at least: a good int8 model has .0225,
and a few queries without any difference show nothing."""


class Judged:
    """A collection whose queries are asked in parts, each spread over all of them.

    Attributes:
        dataset: All queries of the split, their judgements and the whole corpus.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Index the corpus by BM25, which finds the candidates."""
        self.dataset = dataset
        self._ids = list(dataset.corpus)
        self._bm25 = BM25()
        self._bm25.add(self._bm25.encode_documents(list(dataset.corpus.values())))

    def parts(self) -> Iterator[Part]:
        """Yield parts of at most `N_QUERIES` queries; each query is in one of them."""
        names = list(self.dataset.queries)
        n_parts = -(-len(names) // N_QUERIES)
        for first in range(n_parts):
            yield self._part(names[first::n_parts])

    def sample(self, n_texts: int) -> Sample:
        """Return queries, and documents that answer one, at most so many of each, spread."""
        dataset = self.dataset
        answers = {
            id: None
            for grades in dataset.judgements.values()
            for id, grade in grades.items()
            if grade > 0 and id in dataset.corpus
        }
        documents = [dataset.corpus[id] for id in answers]
        lists = (list(dataset.queries.values()), documents)
        return Sample(*(texts[:: max(1, -(-len(texts) // n_texts))] for texts in lists))

    def record(self) -> dict[str, int]:
        """Return what `parity.json` says of the collection."""
        return {
            "n_queries": len(self.dataset.queries),
            "n_unknown_queries": self.dataset.n_unknown_queries,
            "n_unknown_documents": self.dataset.n_unknown_documents,
        }

    def _part(self, names: list[str]) -> Part:
        whole = self.dataset
        queries = {name: whole.queries[name] for name in names}
        judgements = {name: whole.judgements[name] for name in names}
        asked = self._bm25.encode_queries(list(queries.values()))
        found = self._bm25.search(asked, k=N_CANDIDATES)
        numbers = np.unique(found.ids[found.ids >= 0])
        ids = np.where(found.ids >= 0, np.searchsorted(numbers, found.ids), found.ids)
        dataset = replace(whole, queries=queries, judgements=judgements)
        return Part(dataset, Hits(ids, found.scores), [self._ids[number] for number in numbers])


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the queries, and documents few enough to encode twice.

    Attributes:
        dataset: The queries, their judgements and the whole corpus.
        hits: BM25's candidates of each query, as positions in `ids`.
        ids: The id of each candidate.
    """

    dataset: Dataset
    hits: Hits
    ids: list[str]


def read_judged(folder: Path, split: str) -> Judged:
    """Read a collection and index it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line is malformed.
    """
    return Judged(read_beir(folder, split))


def judged_loss(
    compared: str, judged: Judged, before: Path, after: Path, threads: int | None
) -> list[Bound]:
    """Measure the NDCG@10 that one model folder loses against another, over the same documents.

    A model that reranks orders each query's candidates; one that does not, a Splade, searches the
    candidates of all. Queries are asked until their loss is shown to lie on one side of both
    bounds, or all were asked.
    """
    losses: list[float] = []
    texts: list[str] = []
    bounds: list[Bound] = []
    for part in judged.parts():
        first, second = (_ndcg(part, load_runtime(at, threads)) for at in (before, after))
        losses += [first[name] - second[name] for name in part.dataset.queries]
        texts += part.dataset.queries.values()
        bounds = loss_bounds(compared, texts, losses)
        if all(bound.kept for bound in bounds) or not bounds[0].kept:
            break
    return bounds


def loss_bounds(compared: str, queries: Sequence[str], losses: Sequence[float]) -> list[Bound]:
    """Return what is known of the mean loss: its paired 95 % interval, two bounds.

    The loss is refused where its lower limit is above `LOST`, so that a good model fails by chance
    in 2.5 % of exports at most, however few the queries; and where its upper limit is above
    `UNSHOWN`, so that a bad one passes in 2.5 % at most. More queries bring both limits together.

    Args:
        compared: What with what.
        queries: Their texts.
        losses: NDCG@10 before less NDCG@10 after, of each; at least one.
    """
    n, mean = len(losses), float(np.mean(losses))
    deviation = max(float(np.std(losses, ddof=1)) if n > 1 else 0.0, LEAST_DEVIATION)
    half = t_quantile(n - 1) * deviation / math.sqrt(n)
    worst = str(Probe("query", queries[int(np.argmax(losses))]))
    remark = f"mean loss {mean:.4f} ± {half:.4f} over {n} queries"
    if mean < UNSHOWN <= mean + half:
        enough = math.ceil((NORMAL * deviation / (UNSHOWN - mean)) ** 2) + 3
        remark += f"; about {max(enough, n + 1)} queries like these would show it"
    limits = (("least", mean - half, LOST), ("most", mean + half, UNSHOWN))
    return [
        Bound(compared, f"{name} NDCG@10 lost (95 %)", loss, "at most", limit, worst, n, remark)
        for name, loss, limit in limits
    ]


def _ndcg(part: Part, model: Neural[Any, Any]) -> dict[str, float]:
    dataset = part.dataset
    texts = [dataset.corpus[id] for id in part.ids]
    if isinstance(model, ColBERT):  # as exactly as it can: models are compared, not stores
        model.store_as(TokenStorage(kind="float16"))
    model.add(model.encode_documents(texts, progress=True))
    queries = list(dataset.queries.values())
    asked = model.encode_queries(queries)
    if isinstance(model, Reranker):
        hits = model.rerank(asked, part.hits, k=N_CANDIDATES)
    else:
        hits = model.search(asked, k=N_CANDIDATES)
    rows = dict(zip(queries, hits.to_lists(), strict=True))

    def answer(query: str, k: int) -> Results:
        row = rows[query][:k]
        return Results([[part.ids[int(hit["id"])] for hit in row]], [[hit["score"] for hit in row]])

    return evaluate(answer, dataset, ["ndcg@10"]).per_query["ndcg@10"]
