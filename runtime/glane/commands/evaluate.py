"""`glane evaluate`: measure a retriever, and a reranker, on a collection with judgements."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from glane.collection.dataset import Dataset, read_beir
from glane.commands.run_file import check_run, write_run
from glane.commands.stages import (
    active_terms,
    add_fusion_arguments,
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
    evaluate,
    parse_metrics,
)
from glane.model.progress import telling
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--dataset", required=True, metavar="DIR", help="BEIR folder")
    parser.add_argument("--split", default="test", help="qrels/SPLIT.tsv, default test")
    parser.add_argument("--index", metavar="INDEX", help="an index of it, in place of --retriever")
    add_stage_arguments(parser, required=False)
    add_fusion_arguments(parser)
    parser.add_argument(
        "--metrics", default=",".join(DEFAULT_METRICS), help=f"default {','.join(DEFAULT_METRICS)}"
    )
    parser.add_argument("--run", metavar="FILE", help="write the rankings in TREC's format")
    parser.add_argument("--per-query", action="store_true", help="NDCG@10 of each query in --json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Index where there is no index, then search and measure."""
    _check(arguments)
    metrics = arguments.metrics.split(",")
    with telling("reading the collection"):
        dataset = read_beir(arguments.dataset, arguments.split)
    if arguments.run:
        check_run(arguments.run, dataset)
    if arguments.retriever:
        check_library(metrics)  # now, not after an index was made
    start = time.perf_counter()
    search = _search(arguments, dataset)
    built = time.perf_counter()
    evaluation = evaluate(
        lambda query, k: search.search(
            [query],
            k,
            candidates=arguments.candidates,
            fuse=arguments.fuse,
            fuse_weight=arguments.fuse_weight,
        ),
        dataset,
        metrics,
    )
    active = active_terms(search)
    ran = {"run": write_run(arguments.run, evaluation)} if arguments.run else {}
    return {
        "dataset": Path(arguments.dataset).name,
        "split": arguments.split,
        **stage_names(search),
        "candidates": arguments.candidates,
        "fuse": arguments.fuse,
        "fuse_weight": arguments.fuse_weight,
        "n_documents": len(search),
        **_counts(dataset, evaluation),
        **truncated(search),
        "metrics": {name: round(value, 6) for name, value in evaluation.metrics.items()},
        "seconds": {"index": round(built - start, 3), "search": round(evaluation.seconds, 3)},
        "latency_ms": dict(evaluation.latency_ms),
        **({"active_terms": active} if active else {}),
        "stages": {place: stage.record() for place, stage in search.stages().items()},
        "versions": versions(),
        **ran,
        **({"per_query": evaluation.per_query} if arguments.per_query else {}),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    fused = f", {result['fuse']} fusion" if result["fuse"] != "none" else ""
    head = (
        f"{visible(result['dataset'])}/{visible(result['split'])}: {stages}{fused}; "
        f"{result['n_documents']} documents, {result['n_queries']} queries"
    )
    rows = [f"  {name:12s} {value:.4f}" for name, value in result["metrics"].items()]
    if active := result.get("active_terms"):
        rows.append(f"  terms: {active['query']} a query, {active['document']} a document")
    seconds, latency = result["seconds"], result["latency_ms"]
    rows.append(
        f"  index {seconds['index']:.1f} s, search {seconds['search']:.1f} s, "
        f"a query {latency['p50']:.1f} ms (95 in 100: {latency['p95']:.1f} ms)"
    )
    return "\n".join([head, *rows, *_remarks(result)]) + cut_texts(result)


REMARKS = {
    "n_unknown_queries": "judged queries have no text in the collection, and are left out",
    "n_unknown_documents": "judged documents are not in the collection, and so never found",
    "n_without_relevant": "queries have no relevant document, and count with 0",
    "n_passed_over": "queries found themselves as a document, which was passed over",
}
"""What is told of a collection, where there are any."""


def _remarks(result: dict[str, Any]) -> list[str]:
    told = [f"{result[name]} {text}" for name, text in REMARKS.items() if result[name]]
    if lowered := result.get("run", {}).get("n_lowered"):
        told.append(
            f"{lowered} scores in {result['run']['file']!r} are lowered by the least step, so that "
            "equal ones keep their order"
        )
    return told


def _counts(dataset: Dataset, evaluation: Evaluation) -> dict[str, int]:
    return {
        "n_queries": len(dataset.queries),
        "n_unknown_queries": dataset.n_unknown_queries,
        "n_unknown_documents": dataset.n_unknown_documents,
        "n_without_relevant": evaluation.n_without_relevant,
        "n_passed_over": evaluation.n_passed_over,
    }


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what is wrong with the options before anything is read.

    Raises:
        UsageError: If options are wrong, or do not go together.
    """
    if bool(arguments.index) == bool(arguments.retriever):
        raise UsageError("pass either --retriever or --index")
    metrics = arguments.metrics.split(",")
    with as_usage("--metrics: "):
        parse_metrics(metrics)
    if arguments.per_query and "ndcg@10" not in metrics:
        raise UsageError("--per-query needs ndcg@10 among --metrics")
    if arguments.index:
        refuse_stages(arguments)
    else:
        check_stages(arguments)


def _search(arguments: argparse.Namespace, dataset: Dataset) -> Search:
    if arguments.index:
        search = load_search(arguments)
        if missing := [id for id in dataset.corpus if id not in search]:
            raise ValueError(f"{arguments.index!r} lacks {len(missing)} of the documents")
        return search
    search = build_search(arguments, "_id", ["text"])
    search.add(({"_id": id, "text": text} for id, text in dataset.corpus.items()), progress=True)
    return search
