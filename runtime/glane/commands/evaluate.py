"""`glane evaluate`: measure a retriever, and a reranker, on a collection with judgements."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from glane.commands.stages import (
    active_terms,
    add_fusion_arguments,
    add_stage_arguments,
    build_search,
    stage_names,
)
from glane.commands.told import cut_texts, truncated
from glane.evaluation.dataset import Dataset, read_beir
from glane.evaluation.measures import DEFAULT_METRICS, Evaluation, evaluate
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
    dataset = read_beir(arguments.dataset, arguments.split)
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
        arguments.metrics.split(","),
    )
    active = active_terms(search.retriever, list(dataset.queries.values()))
    if arguments.run:
        _write_run(Path(arguments.run), evaluation)
    return {
        "dataset": Path(arguments.dataset).name,
        "split": arguments.split,
        **stage_names(search),
        "candidates": arguments.candidates,
        "fuse": arguments.fuse,
        "fuse_weight": arguments.fuse_weight,
        "n_documents": len(search),
        "n_queries": len(dataset.queries),
        **truncated(search),
        "metrics": {name: round(value, 6) for name, value in evaluation.metrics.items()},
        "seconds": {"index": round(built - start, 3), "search": round(evaluation.seconds, 3)},
        "latency_ms": dict(evaluation.latency_ms),
        **({"active_terms": active} if active else {}),
        **({"per_query": evaluation.per_query} if arguments.per_query else {}),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    fused = f", {result['fuse']} fusion" if result["fuse"] != "none" else ""
    head = (
        f"{result['dataset']}/{result['split']}: {stages}{fused}; "
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
    return "\n".join([head, *rows]) + cut_texts(result)


def _search(arguments: argparse.Namespace, dataset: Dataset) -> Search:
    if bool(arguments.index) == bool(arguments.retriever):
        raise ValueError("pass either --retriever or --index")
    if arguments.index:
        search = Search.load(
            arguments.index,
            model=arguments.model,
            reranker=arguments.reranker,
            threads=arguments.threads,
        )
        if missing := [id for id in dataset.corpus if id not in search]:
            raise ValueError(f"{arguments.index!r} lacks {len(missing)} of the documents")
        return search
    search = build_search(arguments, "_id", ["text"])
    search.add(({"_id": id, "text": text} for id, text in dataset.corpus.items()), progress=True)
    return search


def _write_run(path: Path, evaluation: Evaluation) -> None:
    with path.open("w", encoding="utf-8") as file:
        for query, ids in evaluation.rankings.items():
            for rank, id in enumerate(ids, 1):
                file.write(f"{query} Q0 {id} {rank} {-rank} glane\n")
