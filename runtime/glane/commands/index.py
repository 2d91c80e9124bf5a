"""`glane index`: make an index of a file of documents."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from glane.commands.stages import add_stage_arguments, build_search, n_truncated, stage_names
from glane.evaluation.dataset import read_jsonl
from glane.store.folders import check_new


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


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Read, encode and save."""
    check_new(arguments.index, overwrite=arguments.overwrite)
    start = time.perf_counter()
    search = build_search(
        arguments, arguments.key, arguments.on.split(","), arguments.keep_documents
    )
    search.add(read_documents(arguments.documents), progress=True)
    if not len(search):
        raise ValueError(f"{arguments.documents!r} is empty; expected one JSON object a line")
    search.save(arguments.index, link=arguments.link)
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_truncated": n_truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    line = f"{result['index']}: {result['n_documents']} documents, {stages}, {result['seconds']} s"
    return line + cut_texts(result)


def cut_texts(result: dict[str, object]) -> str:
    """Return a line on texts that were cut, begun by a line break; nothing where none was."""
    n = result["n_truncated"]
    return f"\n{n} texts were longer than the model reads, and were cut" if n else ""


def add_documents_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the file of documents."""
    parser.add_argument(
        "--documents", required=True, metavar="FILE", help="JSON lines, one document a line"
    )


def read_documents(path: str) -> Iterator[dict[str, Any]]:
    """Yield the documents of a file."""
    return (record for _, record in read_jsonl(path))
