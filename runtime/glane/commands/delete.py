"""`glane delete`: delete documents from an index."""

from __future__ import annotations

import argparse
import time

from glane.collection.ids import as_stored
from glane.commands.documents import add_wait_argument, filter_of
from glane.commands.usage import UsageError
from glane.model.progress import writing_to
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_wait_argument(parser)
    parser.add_argument("ids", metavar="ID", nargs="*", help="a document's id")
    parser.add_argument(
        "--where",
        metavar="FILTER",
        help="delete what keeps a filter, as `glane search` takes it; default none: ids",
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Delete and save."""
    start = time.perf_counter()
    where = filter_of(arguments)
    if (where is None) == (not arguments.ids):
        raise UsageError("pass either ids or --where")
    editing = Search.edit(arguments.index, threads=arguments.threads, wait=arguments.wait)
    with writing_to(editing) as search:
        ids = as_stored(search.keys, arguments.ids) if where is None else search.select(where)
        search.delete(ids)
        n_documents = len(search)
    return {
        "index": arguments.index,
        "n_documents": n_documents,
        "n_deleted": len(ids),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    return f"{result['index']}: {result['n_deleted']} deleted, {result['n_documents']} left"
