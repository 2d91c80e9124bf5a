"""`glane compare`: whether one system is better than another, by how much, and how sure that is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from glane.collection.rows import Rows
from glane.collection.source import STANDARD_INPUT
from glane.commands.evaluate import REMARKS, counts_of
from glane.commands.judged import (
    FILES,
    ONE_INPUT,
    add_collection_arguments,
    check_collection,
    names_of,
    read_judged,
)
from glane.commands.per_query import System, measure_run, read_report, shared
from glane.commands.streams import visible
from glane.commands.usage import UsageError, as_usage
from glane.evaluation.measures import DEFAULT_METRICS, check_library, parse_metrics
from glane.evaluation.paired import DRAWS, MOST_EXACT, Comparison, compare, holm
from glane.model.progress import telling

PLACES = ("first", "second")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for place in PLACES:
        parser.add_argument(
            place,
            metavar="RUN",
            help=f"the {place} system: rankings in TREC's format (`glane evaluate --run`), or a "
            "report of `glane evaluate --per-query --json`; - for standard input",
        )
    add_collection_arguments(parser)
    parser.add_argument(
        "--metrics",
        help=f"default those that both reports have; of runs {','.join(DEFAULT_METRICS)}",
    )
    parser.set_defaults(retriever=None)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what is not measured, and compare query by query."""
    paths = [arguments.first, arguments.second]
    if paths.count(STANDARD_INPUT) > 1:
        raise UsageError(ONE_INPUT)
    asked = [] if arguments.metrics is None else arguments.metrics.split(",")
    if asked:
        with as_usage("--metrics: "):
            parse_metrics(asked)
    files = [Rows(path) for path in paths]
    reports = [read_report(rows) for rows in files]
    _check(arguments, paths, reports)
    systems, collection = _read(arguments, files, reports, asked)
    metrics = shared(systems, [rows.name for rows in files], asked)
    return {
        **{
            place: {"file": path, **system.told}
            for place, path, system in zip(PLACES, paths, systems, strict=True)
        },
        **collection,
        **_compared(systems, metrics),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    n = result["n_queries"]
    head = [f"{place}: {visible(result[place]['file'])}" for place in PLACES]
    head.append(f"second less first, {n} {'query' if n == 1 else 'queries'}:")
    rows = [COLUMNS] if len(result["metrics"]) == 1 else [f"{COLUMNS}  {'Holm':>7s}"]
    rows += [_row(name, found) for name, found in result["metrics"].items()]
    return "\n".join([*head, *rows, *_remarks(result)])


COLUMNS = (
    f"  {'':12s} {'first':>8s} {'second':>8s} {'difference':>10s}  {'95 % interval':>18s} "
    f"{'better':>7s} {'worse':>7s} {'equal':>7s} {'p':>7s}"
)


def _row(name: str, found: Mapping[str, Any]) -> str:
    limits = "not known" if found["low"] is None else f"{found['low']:+.4f} to {found['high']:+.4f}"
    counts = " ".join(f"{found[f'n_{what}']:7d}" for what in ("better", "worse", "equal"))
    holm = f"  {found['p_holm']:7.2g}" if "p_holm" in found else ""
    return (
        f"  {name:12s} {found['first']:8.4f} {found['second']:8.4f} {found['difference']:+10.4f}  "
        f"{limits:>18s} {counts} {found['p_value']:7.2g}{holm}"
    )


def _check(
    arguments: argparse.Namespace, paths: Sequence[str], reports: Sequence[System | None]
) -> None:
    """Refuse a run without judgements, and judgements that nothing needs.

    Raises:
        UsageError: If options are missing, too many, or do not go together.
    """
    runs = [path for path, report in zip(paths, reports, strict=True) if report is None]
    given = [name for name in ("dataset", "split", *FILES) if getattr(arguments, name) is not None]
    if not runs and given:
        raise UsageError(f"--{given[0]} is for runs, and both files are reports")
    if runs and not given:
        raise UsageError(f"{runs[0]!r} is a run, which needs judgements: pass --dataset or --qrels")
    if runs:
        check_collection(arguments, runs)


def _read(
    arguments: argparse.Namespace,
    files: Sequence[Rows],
    reports: Sequence[System | None],
    asked: Sequence[str],
) -> tuple[list[System], dict[str, Any]]:
    """Return both systems, and what is told of the collection that runs are measured on."""
    known = [report for report in reports if report is not None]
    if len(known) == len(files):
        return known, {}
    metrics = asked or list(known[0].values if known else DEFAULT_METRICS)
    check_library(metrics)
    systems: list[System] = []
    with telling("reading the collection"):
        dataset = read_judged(arguments, None)
    counts: dict[str, int] = {}
    for rows, report in zip(files, reports, strict=True):
        if report is None:
            report, evaluation = measure_run(rows, dataset, metrics)
            counts = counts_of(dataset, evaluation)
        systems.append(report)
    counts.pop("n_passed_over")  # of one run
    return systems, {**names_of(arguments), **counts}


def _compared(systems: Sequence[System], metrics: Sequence[str]) -> dict[str, Any]:
    """Compare two systems on the queries that both have.

    Raises:
        ValueError: If they share none.
    """
    first, second = (system.values[metrics[0]].keys() for system in systems)
    both = [query for query in first if query in second]
    if not both:
        raise ValueError(
            f"the two have no query in common, of {len(first)} and {len(second)}; pass what was "
            "measured on the same collection"
        )
    told = {}
    for metric in metrics:
        one, other = ([system.values[metric][query] for query in both] for system in systems)
        told[metric] = _told([fmean(one), fmean(other)], compare(one, other))
    if len(told) > 1:
        p_values = holm([row["p_value"] for row in told.values()])
        for row, p_value in zip(told.values(), p_values, strict=True):
            row["p_holm"] = p_value
    return {
        "n_queries": len(both),
        "n_first_alone": len(first) - len(both),
        "n_second_alone": len(second) - len(both),
        "metrics": told,
        "metrics_of_one_alone": sorted(systems[0].values.keys() ^ systems[1].values.keys()),
        "draws": DRAWS,
    }


def _told(means: Sequence[float], found: Comparison) -> dict[str, Any]:
    numbers = {
        "first": means[0],
        "second": means[1],
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
    }
    return {
        **{name: round(n, 6) if math.isfinite(n) else None for name, n in numbers.items()},
        "n_better": found.n_better,
        "n_worse": found.n_worse,
        "n_equal": found.n_equal,
        "p_value": found.p_value,
        "is_exact": found.is_exact,
    }


def _remarks(result: Mapping[str, Any]) -> list[str]:
    told = [f"{result[name]} {text}" for name, text in REMARKS.items() if result.get(name)]
    for place in PLACES:
        told += [
            f"{n} {text.format(place)}"
            for name, text in REMARKS_OF_ONE.items()
            if (n := result[place].get(name))
        ]
        if n := result[f"n_{place}_alone"]:
            told.append(f"{n} queries are in the {place} alone, and are left out")
    names = [[result[place].get(part) for part in ("dataset", "split")] for place in PLACES]
    if any(names[0]) and any(names[1]) and names[0] != names[1]:
        first, second = ("/".join(visible(part) for part in name if part) for name in names)
        told.append(f"the reports name different collections: {first} and {second}")
    if alone := result["metrics_of_one_alone"]:
        told.append(f"not compared, since one alone has them: {', '.join(map(visible, alone))}")
    told.append(
        f"interval: bootstrap over queries; p: paired permutation test, {_flips(result)}"
        + ("; Holm: p for all metrics together" if len(result["metrics"]) > 1 else "")
    )
    return told


REMARKS_OF_ONE = {
    "n_unranked": "judged queries are not in the {}, and count with 0",
    "n_unjudged": "queries of the {} are not judged, and are left out",
    "n_passed_over": "queries of the {} found themselves as a document, which was passed over",
}
"""What is told of each system, where there are any."""


def _flips(result: Mapping[str, Any]) -> str:
    kinds = {found["is_exact"] for found in result["metrics"].values()}
    drawn = f"{result['draws']} flips of signs drawn"
    if kinds == {False}:
        return drawn
    return "exact" if kinds == {True} else f"exact up to {MOST_EXACT} queries that differ, {drawn}"
