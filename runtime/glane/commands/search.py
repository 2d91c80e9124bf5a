"""`glane search`: search an index."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glane.collection.dataset import read_queries
from glane.commands.documents import filter_of
from glane.commands.fusing import add_fusion_arguments
from glane.commands.hits import shown_hits
from glane.commands.page import page
from glane.commands.painting import COLOURS, PLAIN, Paint, hit_lines
from glane.commands.run_file import write_file
from glane.commands.stages import load_search, stage_names
from glane.commands.streams import visible
from glane.commands.told import cut_texts, n_terms, truncated
from glane.commands.usage import Bounded, UsageError
from glane.hits import Key
from glane.model.progress import telling
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument(
        "query",
        metavar="QUERY",
        nargs="?",
        help="what to look for, in quotes; hits of bm25 and tfidf hold what is in double quotes "
        "within them, as in '\"green tea\" japan'",
    )
    parser.add_argument(
        "--queries",
        metavar="FILE",
        help="queries in place of QUERY: a line each where the name ends in .txt, else records "
        "with an id and a text, in any layout that documents have; default none",
    )
    parser.add_argument(
        "-k", type=int, action=Bounded, least=1, default=10, metavar="N", help="documents wanted"
    )
    parser.add_argument(
        "--offset",
        type=int,
        action=Bounded,
        least=0,
        default=0,
        metavar="N",
        help="best documents that are passed over, for a next page",
    )
    parser.add_argument(
        "--where",
        metavar="FILTER",
        help="which documents may be found, by the fields that --fields named, such as 'year >= "
        '2020 and lang in ("de", "en")\'; = != < <= > >=, in, exists, and, or, not; default all',
    )
    parser.add_argument(
        "--explain", action="store_true", help="show what the score of each hit is made of"
    )
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write a page on which the hits are explained, the matches marked by their strength",
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
    add_fusion_arguments(parser, "the index's or the model's, or ")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load and search."""
    where = filter_of(arguments)
    if (arguments.query is None) == (arguments.queries is None):
        raise UsageError("pass either a QUERY in quotes or --queries FILE")
    queries = {"": arguments.query}
    if arguments.queries is not None:
        queries = read_queries(arguments.queries)
    search = load_search(arguments)
    start = time.perf_counter()
    with telling("loading the model, and searching"):
        results = search.search(
            list(queries.values()),
            arguments.k + arguments.offset,
            **_options(arguments),
            timings=arguments.timings,
        )
    milliseconds = round((time.perf_counter() - start) * 1e3, 3)
    answers = [
        _answer(search, arguments, id, query, results.ids[row], results.scores[row])
        for row, (id, query) in enumerate(queries.items())
    ]
    if arguments.html is not None:
        write_file(Path(arguments.html), iter([page(arguments.index, answers).encode()]))
        for hit in (hit for answer in answers if not arguments.explain for hit in answer["hits"]):
            del hit["explanation"]  # it was for the page
    found = answers[0] if arguments.queries is None else {"queries": answers}
    return {
        "index": arguments.index,
        **({} if where is None else {"where": where}),
        **stage_names(search),
        **({"offset": arguments.offset} if arguments.offset else {}),
        **found,
        "truncated": truncated(search)["truncated"],
        "milliseconds": milliseconds,
        **({} if results.timings is None else {"timings": _rounded(results.timings)}),
        **({} if arguments.html is None else {"html": arguments.html}),
    }


def _answer(
    search: Search,
    arguments: argparse.Namespace,
    id: str,
    query: str,
    keys: Sequence[Key],
    scores: Sequence[float],
) -> dict[str, Any]:
    """Return a query's hits with what is shown of them."""
    explained = None
    if arguments.explain or arguments.html is not None:
        explained = {"k": arguments.k + arguments.offset, **_options(arguments)}
    first = arguments.offset
    hits = shown_hits(search, query, keys[first:], scores[first:], explained)
    terms = n_terms(search, query)
    return {
        **({} if arguments.queries is None else {"id": id}),
        "query": query,
        "hits": hits,
        **({} if terms is None else {"n_query_terms": terms}),
    }


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a search, and what explains it, is asked for besides query and number."""
    return {
        "candidates": arguments.candidates,
        "fuse": arguments.fuse,
        "fuse_weight": arguments.fuse_weight,
        "prune": arguments.prune,
        "filter": arguments.where,
        "phrases": True,
    }


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(milliseconds, 3) for stage, milliseconds in timings.items()}


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return _lines(result, PLAIN)


def paint(result: dict[str, Any]) -> str:
    """Return the result as text for a terminal: with colours, and all of it made visible."""
    return _lines(result, COLOURS)


def _lines(result: dict[str, Any], paint: Paint) -> str:
    lines = []
    for answer in result.get("queries", [result]):
        if "queries" in result:
            lines.append(f"{visible(answer['id'])}: {paint.strong(visible(answer['query']))}")
        for rank, hit in enumerate(answer["hits"], 1 + result.get("offset", 0)):
            lines += hit_lines(rank, hit, paint)
        if not answer["hits"]:
            lines.append("nothing found")
        if answer.get("n_query_terms") == 0:
            retriever = result["retriever"]
            lines.append(f"{retriever} sees no word in the query, and so looks for nothing")
    if "timings" in result:
        shares = [f"{stage} {value:.1f}" for stage, value in result["timings"].items()]
        lines.append(f"milliseconds: {', '.join(shares)}; all {result['milliseconds']:.1f}")
    if "html" in result:
        lines.append(f"the page is {visible(result['html'])}")
    return "\n".join(lines) + cut_texts(result)
