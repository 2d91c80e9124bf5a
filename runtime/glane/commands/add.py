"""`glane add`: add documents to an index, replacing those with the same id."""

from __future__ import annotations

import argparse
import time

from glane.commands.index import add_documents_argument, cut_texts, read_documents
from glane.commands.stages import n_truncated, stage_names
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_documents_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Add and save."""
    start = time.perf_counter()
    with Search.edit(arguments.index, threads=arguments.threads) as search:
        n_before = len(search)
        documents = list(read_documents(arguments.documents))
        n_written = search.add(documents, progress=True)
        n_added = len(search) - n_before
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_added": n_added,
        "n_replaced": n_written - n_added,
        "n_unchanged": len(documents) - n_written,
        "n_truncated": n_truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    line = (
        f"{result['index']}: {result['n_added']} added, {result['n_replaced']} replaced, "
        f"{result['n_unchanged']} unchanged, {result['n_documents']} documents now, "
        f"{result['seconds']} s"
    )
    return line + cut_texts(result)
