"""What a system gives for each query: from a report of `glane evaluate`, or by measuring a run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from glane.collection.dataset import Dataset
from glane.collection.messages import listed
from glane.collection.rows import Rows
from glane.collection.runs import read_run
from glane.evaluation.measures import Evaluation, evaluate_run, with_relevant

ByMetric = dict[str, dict[str, float]]
"""Values by metric and query."""


class System(NamedTuple):
    """One of the two systems that are compared.

    Attributes:
        values: Of each query by metric; every metric has the same queries.
        told: The file, what it is, and what is said of it.
    """

    values: ByMetric
    told: dict[str, Any]


def read_report(rows: Rows) -> System | None:
    """Read a report of `glane evaluate --per-query --json`; None where the file is none.

    Raises:
        OSError: If the file is missing, a folder, or not readable.
        ValueError: If it is JSON, and no such report.
    """
    first = next(rows.lines(), (0, ""))[1]
    if not first.lstrip().startswith("{"):
        return None
    try:
        report = json.loads("\n".join(line for _, line in rows.lines()))
    except json.JSONDecodeError as error:
        raise ValueError(f"{rows.name} begins as JSON and is none: {error}") from None
    values = _by_metric(report.get("per_query"))
    if values is None:
        raise ValueError(
            f"{rows.name} has no values of single queries; make it by `glane evaluate --per-query "
            "--json`, or pass runs (`glane evaluate --run FILE`)"
        )
    told = {name: report.get(name) for name in ("dataset", "split")}
    return System(values, {"kind": "report", **told, "n_unranked": report.get("n_unranked", 0)})


def measure_run(rows: Rows, dataset: Dataset, metrics: Sequence[str]) -> tuple[System, Evaluation]:
    """Measure the rankings of a file in TREC's format; judged queries that it lacks count with 0.

    Args:
        rows: Of the file.
        dataset: Queries and judgements.
        metrics: Names with a cut-off, such as "ndcg@10".

    Raises:
        OSError: If the file is missing, a folder, or not readable.
        ValueError: If a line is malformed, or it ranks for no judged query.
    """
    ranked = read_run(rows)
    if not ranked.keys() & dataset.queries.keys():
        raise ValueError(f"{rows.name} ranks for none of the judged queries")
    evaluation = evaluate_run(ranked, dataset, metrics)
    told = {
        "kind": "run",
        "n_unranked": len(with_relevant(dataset.judgements).keys() - ranked.keys()),
        "n_unjudged": len(ranked.keys() - dataset.queries.keys()),
        "n_passed_over": evaluation.n_passed_over,
    }
    return System(evaluation.per_query, told), evaluation


def shared(systems: Sequence[System], names: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return the metrics that are compared: those that are asked for, or else those of both.

    Args:
        systems: Whose values are known.
        names: What messages call each.
        asked: Metrics; none for all.

    Raises:
        ValueError: If a system has no value for one that is asked for, or they share none.
    """
    for system, name in zip(systems, names, strict=True):
        if missing := [metric for metric in asked if metric not in system.values]:
            raise ValueError(f"{name} has no {missing[0]}; it has {listed(list(system.values))}")
    known = set.intersection(*(set(system.values) for system in systems))
    if not known:
        each = " and ".join(listed(list(system.values)) for system in systems)
        raise ValueError(f"the two have no metric in common: {each}")
    return list(asked) or [metric for metric in systems[0].values if metric in known]


def _by_metric(values: Any) -> ByMetric | None:  # noqa: ANN401 (parsed JSON)
    """Return values by metric and query; a report once had NDCG@10 alone, by query."""
    if not isinstance(values, dict) or not values:
        return None
    if all(_is_number(value) for value in values.values()):
        return {"ndcg@10": values}
    if not all(isinstance(each, dict) and each for each in values.values()):
        return None
    if not all(_is_number(value) for each in values.values() for value in each.values()):
        return None
    queries = next(iter(values.values())).keys()
    return values if all(each.keys() == queries for each in values.values()) else None


def _is_number(value: Any) -> bool:  # noqa: ANN401 (parsed JSON)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
