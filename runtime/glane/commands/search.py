"""`glane search`: search an index."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

from glane.commands.documents import filter_of
from glane.commands.fusing import add_fusion_arguments
from glane.commands.stages import load_search, stage_names
from glane.commands.streams import visible
from glane.commands.told import cut_texts, n_terms, truncated
from glane.commands.usage import Bounded
from glane.model.progress import telling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument("query", metavar="QUERY", help="what to look for, in quotes")
    parser.add_argument(
        "-k", type=int, action=Bounded, least=1, default=10, metavar="N", help="documents wanted"
    )
    parser.add_argument(
        "--where",
        metavar="FILTER",
        help="which documents may be found, by the fields that --fields named, such as 'year >= "
        '2020 and lang in ("de", "en")\'; = != < <= > >=, in, exists, and, or, not; default all',
    )
    for name, role in (("--model", "retriever"), ("--reranker", "reranker")):
        parser.add_argument(
            name, metavar="MODEL", help=f"folder of the {role}'s model; default the index's own"
        )
    parser.add_argument(
        "--timings",
        action="store_true",
        help="show the milliseconds of each stage: filter, encode, retrieve, rerank, fuse; what is "
        "loaded at a first query is in them",
    )
    add_fusion_arguments(parser, "the index's, or ")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load and search."""
    where = filter_of(arguments)
    search = load_search(arguments)
    start = time.perf_counter()
    with telling("loading the model, and searching"):
        results = search.search(
            [arguments.query],
            arguments.k,
            candidates=arguments.candidates,
            fuse=arguments.fuse,
            fuse_weight=arguments.fuse_weight,
            filter=where,
            timings=arguments.timings,
        )
    milliseconds = round((time.perf_counter() - start) * 1e3, 3)
    hits: list[dict[str, Any]] = [dict(hit) for hit in results.to_lists()[0]]
    if search.kept is not None:
        for hit, document in zip(hits, search.documents(results.ids[0]), strict=True):
            hit["document"] = document
    terms = n_terms(search, arguments.query)
    return {
        "index": arguments.index,
        "query": arguments.query,
        **({} if where is None else {"where": where}),
        **stage_names(search),
        "hits": hits,
        **({} if terms is None else {"n_query_terms": terms}),
        "truncated": truncated(search)["truncated"],
        "milliseconds": milliseconds,
        **({} if results.timings is None else {"timings": _rounded(results.timings)}),
    }


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(milliseconds, 3) for stage, milliseconds in timings.items()}


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    lines = []
    for rank, hit in enumerate(result["hits"], 1):
        lines.append(f"{rank:4d}  {hit['score']:10.4f}  {visible(hit['id'])}")
        if "document" in hit:
            shown = visible(json.dumps(hit["document"], ensure_ascii=False))
            lines.append(f"{'':18s}{shown}")
    if not lines:
        lines.append("nothing found")
    if result.get("n_query_terms") == 0:
        lines.append(f"{result['retriever']} sees no word in the query, and so looks for nothing")
    if "timings" in result:
        shares = [f"{stage} {value:.1f}" for stage, value in result["timings"].items()]
        lines.append(f"milliseconds: {', '.join(shares)}; all {result['milliseconds']:.1f}")
    return "\n".join(lines) + cut_texts(result)
