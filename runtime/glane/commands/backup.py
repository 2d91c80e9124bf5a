"""`glane backup`: copy what an index is at this moment, while others search it and write to it."""

from __future__ import annotations

import argparse
import time
from typing import Any

from glane.commands.documents import add_wait_argument
from glane.store.copying import Copied, copy_index


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument("backup", metavar="FOLDER", help="folder to write; itself an index")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="bring a backup that is there to the newest state; what it has is not copied again",
    )
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Copy the state that was committed last."""
    return copied(arguments, arguments.index, arguments.backup)


def copied(arguments: argparse.Namespace, source: str, target: str) -> dict[str, Any]:
    """Copy an index, and return the report of that."""
    start = time.perf_counter()
    done = copy_index(
        source, target, overwrite=arguments.overwrite, wait=arguments.wait, progress=True
    )
    return {
        "index": arguments.index,
        "backup": arguments.backup,
        "generation": done.manifest.generation,
        "n_documents": _n_documents(done),
        "n_files": len(done.manifest.files),
        "n_written": done.n_written,
        "bytes": sum(entry.n_bytes for entry in done.manifest.files.values()),
        "linked_models": done.linked,
        "seconds": round(time.perf_counter() - start, 3),
    }


def _n_documents(done: Copied) -> int:
    tables = done.manifest.tables
    rows = tables.get("keys") or tables.get("retriever")
    return sum(part.n_rows - part.n_deleted for part in rows.segments) if rows else 0


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return told(result, result["backup"])


def told(result: dict[str, Any], target: str) -> str:
    """Return what was copied as text for a person."""
    lines = [
        f"{target}: {result['n_documents']} documents, as they were at generation "
        f"{result['generation']}; {result['n_files']} files of {result['bytes'] / 1e6:.1f} MB "
        f"verified, {result['n_written']} of them written, {result['seconds']} s"
    ]
    lines += [
        f"the {place}'s model, which was only named, is copied from {folder}"
        for place, folder in result["linked_models"].items()
    ]
    return "\n".join(lines)
