"""`glane search`: search an index."""

from __future__ import annotations

import argparse
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
    return {
        "index": arguments.index,
        "query": arguments.query,
        "hits": results.to_lists()[0],
        "milliseconds": round((time.perf_counter() - start) * 1e3, 3),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    lines = [
        f"{rank:4d}  {hit['score']:10.4f}  {hit['id']}"
        for rank, hit in enumerate(result["hits"], 1)
    ]
    return "\n".join(lines) or "nothing found"
