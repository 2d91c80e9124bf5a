"""Measures a `Search` on a collection with judgements."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from tqdm import tqdm

from glane.evaluation.dataset import Dataset
from glane.hits import Results

DEFAULT_METRICS = ("ndcg@10", "hits@10", "hits@1", "recall@100")

IR_MEASURES = {"ndcg": "nDCG", "recall": "R", "mrr": "RR", "map": "AP", "precision": "P"}
"""Our names of measures, and those of the library that computes them."""

Judgements = Mapping[str, Mapping[str, int]]
Rankings = Mapping[str, Sequence[str]]


class Latency(TypedDict):
    """Milliseconds that half, and 95 in 100, of the queries took at most."""

    p50: float
    p95: float


class Evaluation(NamedTuple):
    """What `evaluate` measures.

    Attributes:
        metrics: Mean over the queries, by name.
        per_query: NDCG@10 of each query, for paired tests; empty where it was not asked for.
        rankings: Document ids of each query, best first, at most the largest cut-off.
        seconds: Time of all queries.
        latency_ms: Time of one query, one at a time.
    """

    metrics: dict[str, float]
    per_query: dict[str, float]
    rankings: dict[str, list[str]]
    seconds: float
    latency_ms: Latency


def evaluate(
    answer: Callable[[str, int], Results],
    dataset: Dataset,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Evaluation:
    """Put every query of a collection, one at a time, and measure the answers.

    A document that has the query's id and is its text, after a title or none, is passed over, and
    one more is asked for: it is the query itself, as in ArguAna.

    Args:
        answer: Called with a query and how many documents are wanted; returns one row.
        dataset: Queries and judgements.
        metrics: Names with a cut-off, such as "ndcg@10".

    Raises:
        ValueError: If a metric is unknown.
        ModuleNotFoundError: If the extra `eval` is not installed.
    """
    wanted = [_parse(metric) for metric in metrics]
    k = max(cutoff for _, cutoff in wanted)
    rankings: dict[str, list[str]] = {}
    times = []
    for id, query in tqdm(dataset.queries.items(), desc="queries", disable=None, leave=False):
        is_document = dataset.corpus.get(id, "").endswith(query)
        start = time.perf_counter()
        results = answer(query, k + is_document)
        times.append(time.perf_counter() - start)
        found = [str(key) for key in results.ids[0]]
        rankings[id] = [key for key in found if not (is_document and key == id)][:k]
    measured = {
        metric: _measure(name, cutoff, dataset.judgements, rankings)
        for metric, (name, cutoff) in zip(metrics, wanted, strict=True)
    }
    p50, p95 = np.percentile(np.array(times) * 1e3, [50, 95]) if times else (0.0, 0.0)
    return Evaluation(
        {metric: float(np.mean(list(values.values()))) for metric, values in measured.items()},
        measured.get("ndcg@10", {}),
        rankings,
        sum(times),
        {"p50": round(float(p50), 3), "p95": round(float(p95), 3)},
    )


def hits(k: int, judgements: Judgements, rankings: Rankings) -> dict[str, float]:
    """Return, for each query, how many of its first k documents are relevant.

    Bassani's ranx calls this measure hits.

    >>> hits(2, {"q": {"a": 1, "b": 1}}, {"q": ["a", "c", "b"]})
    {'q': 1.0}
    """
    return {
        query: float(sum(grades.get(id, 0) > 0 for id in rankings.get(query, ())[:k]))
        for query, grades in judgements.items()
    }


def _measure(
    name: str, cutoff: int, judgements: Judgements, rankings: Rankings
) -> dict[str, float]:
    if name == "hits":
        return hits(cutoff, judgements, rankings)
    try:
        import ir_measures
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{name} needs ir-measures: pip install 'glane[eval]'") from None
    measure = ir_measures.parse_measure(f"{IR_MEASURES[name]}@{cutoff}")
    # Strictly falling scores: the library then keeps our order, ties included.
    run = {
        query: {id: float(-rank) for rank, id in enumerate(ids)} for query, ids in rankings.items()
    }
    values = dict.fromkeys(judgements, 0.0)
    values |= {m.query_id: float(m.value) for m in measure.iter_calc(judgements, run)}
    return values


def _parse(metric: str) -> tuple[str, int]:
    match = re.fullmatch(r"([a-z]+)@([1-9][0-9]*)", metric)
    if not match or match[1] not in (*IR_MEASURES, "hits"):
        known = [f"{name}@k" for name in (*IR_MEASURES, "hits")]
        raise ValueError(f"unknown metric {metric!r}; expected one of {known}")
    return match[1], int(match[2])
