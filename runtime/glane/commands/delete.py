"""`glane delete`: delete documents from an index."""

from __future__ import annotations

import argparse
import re
import time

from glane.commands.documents import add_wait_argument
from glane.model.progress import writing_to
from glane.search import Search
from glane.store.names import Name

INTEGER = re.compile("0|-?[1-9][0-9]{0,99}")
"""As Python writes it: `007` is no integer's id."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_wait_argument(parser)
    parser.add_argument("ids", metavar="ID", nargs="+", help="a document's id")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Delete and save."""
    start = time.perf_counter()
    editing = Search.edit(arguments.index, threads=arguments.threads, wait=arguments.wait)
    with writing_to(editing) as search:
        search.delete([_key(search, text) for text in arguments.ids])
        n_documents = len(search)
    return {
        "index": arguments.index,
        "n_documents": n_documents,
        "n_deleted": len(arguments.ids),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    return f"{result['index']}: {result['n_deleted']} deleted, {result['n_documents']} left"


def _key(search: Search, text: str) -> Name:
    """Return the id that was typed: an integer where only that is stored."""
    if text in search or not INTEGER.fullmatch(text):
        return text
    return int(text) if int(text) in search else text
