"""`glane add`: add documents to an index, replacing those with the same id."""

from __future__ import annotations

import argparse
import time

from glane.collection.dataset import document_rows
from glane.commands.documents import (
    add_documents_argument,
    add_wait_argument,
    check_documents,
    store_documents,
)
from glane.commands.stages import stage_names
from glane.commands.told import cut_texts, empty_texts, parted, passages, truncated
from glane.model.progress import writing_to
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_documents_argument(parser)
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the documents, then encode and commit them chunk by chunk.

    Stopped, the index has what was committed, and the same command goes on from there.
    """
    start = time.perf_counter()
    editing = Search.edit(arguments.index, threads=arguments.threads, wait=arguments.wait)
    with writing_to(editing) as search:
        rows = document_rows(arguments.documents, search.key, search.on)
        checked = check_documents(rows, search, made=True)
        n_before = len(search)
        stored = store_documents(rows, search, checked, arguments.index)
        n_added = len(search) - n_before
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_added": n_added,
        "n_replaced": stored.n_written - n_added,
        "n_unchanged": checked.n_documents - stored.n_written,
        "n_empty": checked.n_empty,
        **parted(search),
        **truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    line = (
        f"{result['index']}: {result['n_added']} added, {result['n_replaced']} replaced, "
        f"{result['n_unchanged']} unchanged, {result['n_documents']} documents now, "
        f"{result['seconds']} s"
    )
    return line + passages(result) + empty_texts(result) + cut_texts(result)
