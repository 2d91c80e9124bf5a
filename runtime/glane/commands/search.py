"""`glane search`: search an index."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from glane.commands.stages import add_fusion_arguments
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument("query", metavar="QUERY")
    parser.add_argument("-k", type=int, default=10, help="documents wanted, default 10")
    parser.add_argument("--model", metavar="MODEL", help="in place of the index's own copy")
    parser.add_argument("--reranker", metavar="MODEL", help="in place of the index's own copy")
    add_fusion_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load and search."""
    search = Search.load(
        arguments.index,
        model=arguments.model,
        reranker=arguments.reranker,
        threads=arguments.threads,
    )
    start = time.perf_counter()
    results = search.search(
        [arguments.query],
        arguments.k,
        candidates=arguments.candidates,
        fuse=arguments.fuse,
        fuse_weight=arguments.fuse_weight,
    )
    milliseconds = round((time.perf_counter() - start) * 1e3, 3)
    hits: list[dict[str, Any]] = [dict(hit) for hit in results.to_lists()[0]]
    if search.kept is not None:
        for hit, document in zip(hits, search.documents(results.ids[0]), strict=True):
            hit["document"] = document
    return {
        "index": arguments.index,
        "query": arguments.query,
        "hits": hits,
        "milliseconds": milliseconds,
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    lines = []
    for rank, hit in enumerate(result["hits"], 1):
        lines.append(f"{rank:4d}  {hit['score']:10.4f}  {hit['id']}")
        if "document" in hit:
            lines.append(f"{'':18s}{json.dumps(hit['document'], ensure_ascii=False)}")
    return "\n".join(lines) or "nothing found"
