"""`glane compact`: drop what is left of deleted documents, and join what lies apart."""

from __future__ import annotations

import argparse
import time

from glane.commands.documents import add_wait_argument
from glane.model.progress import telling, writing_to
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Compact and save."""
    start = time.perf_counter()
    editing = Search.edit(arguments.index, threads=arguments.threads, wait=arguments.wait)
    with writing_to(editing) as search:
        with telling("compacting the index"):
            search.compact()
        n_documents = len(search)
    return {
        "index": arguments.index,
        "n_documents": n_documents,
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    return f"{result['index']}: {result['n_documents']} documents, {result['seconds']} s"
