"""`glane evaluate`: measure a retriever, and a reranker, on a collection with judgements."""

from __future__ import annotations

import argparse
import time
from typing import Any

from glane.collection.dataset import Dataset
from glane.collection.rows import Rows
from glane.commands.fusing import add_fusion_arguments, fusion_of, told_ranking
from glane.commands.judged import (
    add_collection_arguments,
    check_collection,
    names_of,
    read_judged,
)
from glane.commands.per_query import measure_run
from glane.commands.rankings import evaluate_rankings, ranking_rows, rounded
from glane.commands.run_file import check_run, write_run
from glane.commands.stages import (
    active_terms,
    add_stage_arguments,
    build_search,
    check_stages,
    load_search,
    refuse_stages,
    stage_names,
)
from glane.commands.streams import visible
from glane.commands.told import cut_texts, truncated, versions
from glane.commands.usage import UsageError, as_usage
from glane.evaluation.measures import (
    DEFAULT_METRICS,
    Evaluation,
    check_library,
    parse_metrics,
)
from glane.model.progress import telling
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_collection_arguments(parser)
    parser.add_argument("--index", metavar="INDEX", help="an index of it, in place of --retriever")
    parser.add_argument(
        "--from-run",
        metavar="FILE",
        help="rankings of any system in TREC's format, in place of --retriever; - for standard "
        "input",
    )
    add_stage_arguments(parser, required=False)
    add_fusion_arguments(parser, "the index's or the model's, or ")
    parser.add_argument(
        "--metrics", default=",".join(DEFAULT_METRICS), help=f"default {','.join(DEFAULT_METRICS)}"
    )
    parser.add_argument("--run", metavar="FILE", help="write the rankings in TREC's format")
    parser.add_argument(
        "--per-query",
        action="store_true",
        help="every metric of each query in --json, for `glane compare`",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Index where there is no index, then search and measure."""
    _check(arguments)
    metrics = arguments.metrics.split(",")
    measured = _measure_run if arguments.from_run is not None else _measure_search
    dataset, evaluation, told = measured(arguments, metrics)
    return {
        **names_of(arguments),
        **told,
        **counts_of(dataset, evaluation),
        "metrics": rounded(evaluation.metrics),
        **({"per_query": evaluation.per_query} if arguments.per_query else {}),
    }


Measured = tuple[Dataset, Evaluation, dict[str, Any]]
"""The collection, what was measured, and what is told of what was measured."""


def _measure_search(arguments: argparse.Namespace, metrics: list[str]) -> Measured:
    opened = load_search(arguments) if arguments.index else None
    with telling("reading the collection"):
        dataset = read_judged(arguments, opened)
    if arguments.run:
        check_run(arguments.run, dataset, opened)
    check_library(metrics)  # now, not after an index was made
    start = time.perf_counter()
    search = opened or _index(arguments, dataset)
    built = time.perf_counter()
    option = fusion_of(arguments)
    evaluation, by_ranking = evaluate_rankings(search, dataset, metrics, option)
    active = active_terms(search)
    ran = {"run": write_run(arguments.run, evaluation)} if arguments.run else {}
    return (
        dataset,
        evaluation,
        {
            **stage_names(search),
            **told_ranking(search.ranking(option)),
            "n_documents": len(search),
            **truncated(search),
            "seconds": {"index": round(built - start, 3), "search": round(evaluation.seconds, 3)},
            "latency_ms": dict(evaluation.latency_ms),
            **({"active_terms": active} if active else {}),
            **({"metrics_by_ranking": by_ranking} if by_ranking else {}),
            "stages": {place: stage.record() for place, stage in search.stages().items()},
            "versions": versions(),
            **ran,
        },
    )


def _measure_run(arguments: argparse.Namespace, metrics: list[str]) -> Measured:
    check_library(metrics)
    with telling("reading the collection"):
        dataset = read_judged(arguments, None)
    system, evaluation = measure_run(Rows(arguments.from_run), dataset, metrics)
    told = {
        "from_run": arguments.from_run,
        "retriever": None,
        "reranker": None,
        "n_unranked": system.told["n_unranked"],
        "n_unjudged": system.told["n_unjudged"],
        "n_documents": len(dataset.corpus),
        "stages": {},
        "versions": versions(),
    }
    return dataset, evaluation, told


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    name = "/".join(visible(result[part]) for part in ("dataset", "split") if result[part])
    documents = f"{result['n_documents']} documents, " if result["n_documents"] else ""
    head = f"{name}: {_measured(result)}; {documents}{result['n_queries']} queries"
    rows = ranking_rows(result)
    if "from_run" in result:
        return "\n".join([head, *rows, *_remarks(result)])
    if active := result.get("active_terms"):
        rows.append(f"  terms: {active['query']} a query, {active['document']} a document")
    seconds, latency = result["seconds"], result["latency_ms"]
    rows.append(
        f"  index {seconds['index']:.1f} s, search {seconds['search']:.1f} s, "
        f"a query {latency['p50']:.1f} ms (95 in 100: {latency['p95']:.1f} ms)"
    )
    return "\n".join([head, *rows, *_remarks(result)]) + cut_texts(result)


def _measured(result: dict[str, Any]) -> str:
    if "from_run" in result:
        return f"the run {visible(result['from_run'])!r}"
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    if result["fuse"] == "none":
        return f"{stages}, reranked alone" if result["reranker"] else stages
    source = result["ranking_from"]["fuse_weight"]
    return f"{stages}, {result['fuse']} fusion at {result['fuse_weight']:g} ({source})"


REMARKS = {
    "n_unknown_queries": "judged queries have no text in the collection, and are left out",
    "n_unknown_documents": "judged documents are not in the collection, and so never found",
    "n_contradicting": "judgements contradict one before of the same document, and replace it",
    "n_without_relevant": "queries have no relevant document, and are left out",
    "n_unranked": "judged queries are not in the run, and count with 0",
    "n_unjudged": "queries of the run are not judged, and are left out",
    "n_passed_over": "queries found themselves as a document, which was passed over",
}
"""What is told of a collection, where there are any."""


def _remarks(result: dict[str, Any]) -> list[str]:
    told = [f"{result[name]} {text}" for name, text in REMARKS.items() if result.get(name)]
    if lowered := result.get("run", {}).get("n_lowered"):
        told.append(
            f"{lowered} scores in {result['run']['file']!r} are lowered by the least step, so that "
            "equal ones keep their order"
        )
    return told


def counts_of(dataset: Dataset, evaluation: Evaluation) -> dict[str, int]:
    """Return what is told of a collection, by the names of `REMARKS`."""
    return {
        "n_queries": len(dataset.queries),
        "n_unknown_queries": dataset.n_unknown_queries,
        "n_unknown_documents": dataset.n_unknown_documents,
        "n_contradicting": dataset.n_contradicting,
        "n_without_relevant": evaluation.n_without_relevant,
        "n_passed_over": evaluation.n_passed_over,
    }


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what is wrong with the options before anything is read.

    Raises:
        UsageError: If options are wrong, or do not go together.
    """
    given = [name for name in WAYS if getattr(arguments, name) is not None]
    if len(given) != 1:
        raise UsageError("pass either --retriever or --index, or --from-run")
    with as_usage("--metrics: "):
        parse_metrics(arguments.metrics.split(","))
    check_collection(arguments, [] if arguments.from_run is None else [arguments.from_run])
    if arguments.retriever:
        return check_stages(arguments)
    refuse_stages(arguments)
    if arguments.from_run is not None:
        _refuse_search(arguments)


WAYS = ("retriever", "index", "from_run")
"""Options that say what is measured."""


def _refuse_search(arguments: argparse.Namespace) -> None:
    """Refuse options that say how to search, where nothing is searched.

    Raises:
        UsageError: If there are any.
    """
    for option in ("model", "reranker", "run", "fuse", "fuse_weight", "candidates", "prune"):
        if getattr(arguments, option) is not None:
            name = option.replace("_", "-")
            raise UsageError(f"--{name} does not go with --from-run, which is ranked already")


def _index(arguments: argparse.Namespace, dataset: Dataset) -> Search:
    search = build_search(arguments, "_id", ["text"])
    search.add(({"_id": id, "text": text} for id, text in dataset.corpus.items()), progress=True)
    return search
