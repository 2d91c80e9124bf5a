"""What `glane evaluate` measures of a reranked search: each of its rankings, from one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glane.collection.dataset import Dataset
from glane.evaluation.measures import Evaluation, evaluate, evaluate_run
from glane.hits import Results
from glane.retrievers.fusion import FusionSettings
from glane.search import Search

ByRanking = dict[str, dict[str, float]]
"""Metrics by "retriever", "reranked" and "fused"."""


def evaluate_rankings(
    search: Search, dataset: Dataset, metrics: Sequence[str], option: FusionSettings
) -> tuple[Evaluation, ByRanking]:
    """Put every query once, and measure what a search gives and, beside it, each ranking.

    Args:
        search: What is measured.
        dataset: Queries and judgements.
        metrics: Names with a cut-off.
        option: How it ranks where that is not left to the index.

    Returns:
        The evaluation of what a search gives, and the metrics of each ranking, nothing where there
        is no reranker, and so one ranking alone.
    """
    given = "fused" if search.ranking(option).fuse != "none" else "reranked"
    if search.reranker is None:
        given = "retriever"
    seen: list[dict[str, Results]] = []

    def answer(query: str, k: int) -> Results:
        seen.append(search.rankings([query], k, option))
        return seen[-1][given]

    evaluation = evaluate(answer, dataset, metrics)
    names = () if search.reranker is None else seen[0]
    runs = {name: _run(dataset, [found[name] for found in seen]) for name in names}
    measured = {name: evaluate_run(run, dataset, metrics).metrics for name, run in runs.items()}
    return evaluation, {name: rounded(values) for name, values in measured.items()}


def ranking_rows(result: Mapping[str, Any]) -> list[str]:
    """Return the lines of text that tell the metrics: one a ranking, or one a metric."""
    by_ranking: ByRanking | None = result.get("metrics_by_ranking")
    if by_ranking is None:
        return [f"  {name:12s} {value:.4f}" for name, value in result["metrics"].items()]
    names = list(result["metrics"])
    head = " ".join(f"{name:>11s}" for name in names)
    rows = [f"  {'':12s} {head}"]
    for ranking, values in by_ranking.items():
        row = " ".join(f"{values[name]:11.4f}" for name in names)
        rows.append(f"  {ranking:12s} {row}")
    return rows


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as reports show them."""
    return {name: round(value, 6) for name, value in metrics.items()}


def _run(dataset: Dataset, found: Sequence[Results]) -> dict[str, list[tuple[str, float]]]:
    """Return ids and scores by query; the queries were put in their order."""
    rows = [zip(map(str, each.ids[0]), each.scores[0], strict=True) for each in found]
    return {id: list(row) for id, row in zip(dataset.queries, rows, strict=True)}
