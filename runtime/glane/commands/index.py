"""`glane index`: make an index of a file of documents."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from glane.commands.documents import (
    add_documents_argument,
    add_wait_argument,
    check_documents,
    store_documents,
)
from glane.commands.stages import (
    add_stage_arguments,
    build_search,
    check_stages,
    stage_names,
)
from glane.commands.told import cut_texts, empty_texts, truncated
from glane.commands.usage import UsageError
from glane.model.progress import writing_to
from glane.saved import check_free


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder to write")
    add_documents_argument(parser)
    add_stage_arguments(parser)
    parser.add_argument("--key", default="_id", help="field of a document's id, default _id")
    parser.add_argument("--on", default="title,text", help="fields to search, default title,text")
    parser.add_argument(
        "--keep-documents", action="store_true", help="store the documents too, for display"
    )
    parser.add_argument(
        "--link", action="store_true", help="name the models' folders instead of copying them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an index that is there")
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the documents, then encode and write them chunk by chunk.

    Stopped, it leaves a draft that no reader sees, and the same command goes on from there.
    """
    start = time.perf_counter()
    fields = arguments.on.split(",")
    if not all([arguments.key, *fields]):
        raise UsageError("--key and --on must name fields, got an empty name")
    check_stages(arguments)
    folder = Path(arguments.index).resolve()
    check_free(folder, overwrite=arguments.overwrite, wait=arguments.wait)
    search = build_search(arguments, arguments.key, fields, arguments.keep_documents)
    building = search.building(
        arguments.index,
        overwrite=arguments.overwrite,
        link=arguments.link,
        wait=arguments.wait,
    )
    with writing_to(building) as goes_on:
        checked = check_documents(arguments.documents, search)
        if not checked.n_documents:
            raise ValueError(f"{arguments.documents!r} is empty; expected one JSON object a line")
        stored = store_documents(arguments.documents, search, checked, arguments.index)
        if goes_on:
            search.keep_only(stored.numbers)
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_empty": checked.n_empty,
        **truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    line = f"{result['index']}: {result['n_documents']} documents, {stages}, {result['seconds']} s"
    return line + empty_texts(result) + cut_texts(result)
