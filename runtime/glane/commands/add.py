"""`glane add`: add documents to an index, replacing those with the same id."""

from __future__ import annotations

import argparse
import time

from glane.commands.index import add_documents_argument, read_documents
from glane.commands.index import show as show
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
        before = len(search)
        documents = list(read_documents(arguments.documents))
        search.add(documents, progress=True)
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_added": len(search) - before,
        "n_replaced": before + len(documents) - len(search),
        "n_truncated": n_truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }
