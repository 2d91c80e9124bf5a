"""Measures a `Search` on a collection with judgements."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple, TypedDict, TypeVar

import numpy as np

from glane.collection.dataset import Dataset
from glane.hits import Results
from glane.model.progress import bar

DEFAULT_METRICS = ("ndcg@10", "hits@10", "hits@1", "recall@100")

IR_MEASURES = {"ndcg": "nDCG", "recall": "R", "mrr": "RR", "map": "AP", "precision": "P"}
"""Our names of measures, and those of the library that computes them."""

Judgements = Mapping[str, Mapping[str, int]]
Rankings = Mapping[str, Sequence[str]]
Answer = Callable[[str, int], Results]

D = TypeVar("D", int, str)
"""What stands for a document: its number or its id."""


class Latency(TypedDict):
    """Milliseconds that half, and 95 in 100, of the queries took at most."""

    p50: float
    p95: float


class Evaluation(NamedTuple):
    """What `evaluate` measures.

    Attributes:
        metrics: Mean over the queries that have a relevant document, by name.
        per_query: The value of each of these, by metric and query, for paired comparisons.
        rankings: Document ids of each query, best first, at most the largest cut-off.
        seconds: Time of all queries.
        latency_ms: Time of one query, one at a time.
        scores: Score of each document of `rankings`.
        n_passed_over: Queries whose own document was found, and passed over.
        n_without_relevant: Queries that are judged to have no relevant document. They are left out
            of the means, as trec_eval leaves them out: no ranking of theirs is better than another.
    """

    metrics: dict[str, float]
    per_query: dict[str, dict[str, float]]
    rankings: dict[str, list[str]]
    seconds: float
    latency_ms: Latency
    scores: dict[str, list[float]]
    n_passed_over: int
    n_without_relevant: int


def evaluate(
    answer: Answer,
    dataset: Dataset,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Evaluation:
    """Put every query of a collection, one at a time, and measure the answers.

    A document that is the query itself (`Dataset.is_query`) is passed over, and one more is asked
    for.

    Args:
        answer: Called with a query and how many documents are wanted; returns one row.
        dataset: Queries and judgements.
        metrics: Names with a cut-off, such as "ndcg@10".

    Raises:
        ValueError: If a metric is unknown, none is named, or no query has a relevant document.
        ModuleNotFoundError: If the extra `eval` is not installed.
    """
    wanted, k = _wanted(metrics, dataset)
    return _evaluation(dataset, wanted, *_answers(answer, dataset, k))


def evaluate_run(
    run: Mapping[str, Sequence[tuple[str, float]]],
    dataset: Dataset,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Evaluation:
    """Measure rankings that were made before, as `evaluate` measures answers.

    Queries that are judged and not ranked count with 0.

    Args:
        run: Ids and scores of each query's documents, best first.
        dataset: Queries and judgements.
        metrics: Names with a cut-off, such as "ndcg@10".

    Raises:
        ValueError: If a metric is unknown, none is named, or no query has a relevant document.
        ModuleNotFoundError: If the extra `eval` is not installed.
    """
    wanted, k = _wanted(metrics, dataset)
    rows = {}
    n_passed_over = 0
    for id in dataset.queries:
        row = _Row([key for key, _ in run.get(id, ())], [score for _, score in run.get(id, ())])
        rows[id], passed_over = _passing_over(row, id, dataset.is_query(id), k)
        n_passed_over += passed_over
    return _evaluation(dataset, wanted, rows, [], n_passed_over)


def _wanted(metrics: Sequence[str], dataset: Dataset) -> tuple[dict[str, tuple[str, int]], int]:
    """Return name and cut-off of each metric, and the largest, where they can be measured."""
    wanted = parse_metrics(metrics)
    check_library(metrics)
    if not dataset.judgements:
        raise ValueError("a dataset must judge at least one query, got none")
    if not with_relevant(dataset.judgements):
        n = len(dataset.judgements)
        raise ValueError(f"none of the {n} judged queries has a relevant document")
    return wanted, max(cutoff for _, cutoff in wanted.values())


def _evaluation(
    dataset: Dataset,
    wanted: Mapping[str, tuple[str, int]],
    rows: Mapping[str, _Row],
    times: Sequence[float],
    n_passed_over: int,
) -> Evaluation:
    rankings = {id: row.ids for id, row in rows.items()}
    judgements = with_relevant(dataset.judgements)
    measured = {
        metric: _measure(name, cutoff, judgements, rankings)
        for metric, (name, cutoff) in wanted.items()
    }
    return Evaluation(
        {metric: float(np.mean(list(values.values()))) for metric, values in measured.items()},
        measured,
        rankings,
        sum(times),
        _latency(times),
        {id: row.scores for id, row in rows.items()},
        n_passed_over,
        len(dataset.judgements) - len(judgements),
    )


def with_relevant(judgements: Judgements) -> dict[str, Mapping[str, int]]:
    """Return the judgements of the queries that have a relevant document.

    >>> with_relevant({"q": {"a": 1, "b": 0}, "none": {"a": 0}})
    {'q': {'a': 1, 'b': 0}}
    """
    return {id: g for id, g in judgements.items() if max(g.values(), default=0) > 0}


def parse_metrics(metrics: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return name and cut-off of each metric.

    Raises:
        ValueError: If one is unknown, or there is none.

    >>> parse_metrics(["hits@10"])
    {'hits@10': ('hits', 10)}
    """
    if not metrics:
        raise ValueError("metrics must name at least one, got none")
    return {metric: _parse(metric) for metric in metrics}


def check_library(metrics: Sequence[str]) -> None:
    """Refuse metrics that need the extra `eval` where that is not installed.

    Raises:
        ModuleNotFoundError: The message names a metric that needs it.
    """
    for name in sorted({name for name, _ in parse_metrics(metrics).values()} - {"hits"}):
        if find_spec("ir_measures") is None:
            raise ModuleNotFoundError(f"{name} needs ir-measures: pip install 'glane[eval]'")


class _Row(NamedTuple):
    """The answer to one query."""

    ids: list[str]
    scores: list[float]

    def without(self, place: int) -> _Row:
        ids, scores = self
        return _Row(ids[:place] + ids[place + 1 :], scores[:place] + scores[place + 1 :])


def _answers(answer: Answer, dataset: Dataset, k: int) -> tuple[dict[str, _Row], list[float], int]:
    """Return the answer to each query, its time, and how often a query's own was left out."""
    rows: dict[str, _Row] = {}
    times = []
    n_passed_over = 0
    with bar(len(dataset.queries), "queries") as shown:
        for id, query in dataset.queries.items():
            is_document = dataset.is_query(id)
            start = time.perf_counter()
            results = answer(query, k + is_document)
            times.append(time.perf_counter() - start)
            row = _Row([str(key) for key in results.ids[0]], list(results.scores[0]))
            rows[id], passed_over = _passing_over(row, id, is_document, k)
            n_passed_over += passed_over
            shown.update(1)
    return rows, times, n_passed_over


def _passing_over(row: _Row, id: str, is_document: bool, k: int) -> tuple[_Row, bool]:
    """Return the first k documents without the query itself, and whether it was among all."""
    found = is_document and id in row.ids
    if found:
        row = row.without(row.ids.index(id))
    return _Row(row.ids[:k], row.scores[:k]), found


def _latency(times: Sequence[float]) -> Latency:
    p50, p95 = np.percentile(np.array(times) * 1e3, [50, 95]) if times else (0.0, 0.0)
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


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


def ndcg(ranking: Sequence[D], grades: Mapping[D, int], k: int = 10) -> float:
    """Return the discounted gain of a ranking over that of the best one.

    The gain of a document at rank r, from 1, is its grade over log2(r + 1), as in trec_eval.

    Args:
        ranking: Documents, best first.
        grades: Of the judged documents; 0 and below gain nothing.
        k: Ranks that count.

    >>> round(ndcg([7, 3], {3: 1}), 4)
    0.6309
    """
    gains = [max(grades.get(document, 0), 0) for document in ranking[:k]]
    ideal = sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:k]
    return _discounted(gains) / _discounted(ideal)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def _measure(
    name: str, cutoff: int, judgements: Judgements, rankings: Rankings
) -> dict[str, float]:
    if name == "hits":
        return hits(cutoff, judgements, rankings)
    import ir_measures  # here, not above: the base install has none, and it takes long to load

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
