"""`glane migrate`: encode an index's documents with a new model, while the old one serves."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from glane.collection.dataset import document_rows
from glane.commands.documents import add_wait_argument
from glane.commands.indexed_texts import Texts, check_file, file_texts, kept_texts
from glane.commands.migrating import Migrated, migrate, open_models
from glane.commands.usage import UsageError
from glane.model.progress import telling
from glane.retrievers.answers import Fields
from glane.retrievers.passages import plain
from glane.retrievers.saved import fields_of
from glane.store.documents import Documents
from glane.store.names import Names
from glane.store.reading import State, open_state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    for name, role in (("--model", "retriever"), ("--reranker", "reranker")):
        parser.add_argument(
            name,
            metavar="MODEL",
            help=f"folder of the exported model that the {role} is to have; default the one it has",
        )
    parser.add_argument(
        "--documents",
        metavar="FILE",
        help="documents of an index that does not keep them: the file that it was made of, in any "
        "layout that `glane index` reads; default those that it keeps",
    )
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Encode and write the new state beside the old one, then swap them.

    Stopped, the index is as it was, and the same command goes on from there.
    """
    start = time.perf_counter()
    given = {"retriever": arguments.model, "reranker": arguments.reranker}
    models = {place: model for place, model in given.items() if model}
    if not models:
        raise UsageError("pass --model, --reranker or both")
    with telling("opening the index and the models"):
        state = open_state(Path(arguments.index).resolve())
        fields = fields_of(state)
        encoders = open_models(state, models, arguments.threads)
    report: dict[str, Any] = {"index": arguments.index, "models": {}}
    if encoders:
        texts, n_unknown = _texts(arguments, state, fields)
        done = migrate(state, encoders, texts, arguments.threads, arguments.wait)
        report |= {**_report(done), "n_unknown": n_unknown}
    return {**report, "seconds": round(time.perf_counter() - start, 3)}


def _report(done: Migrated) -> dict[str, Any]:
    stages = done.collection.stages()
    return {
        "models": {
            place: {
                "kind": type(plain(stages[place])).__name__,
                "before": before,
                "now": now,
                "n_truncated": encoder.n_truncated["document"],
            }
            for place, (before, now) in done.models.items()
            if (encoder := stages[place].encoder) is not None
        },
        "n_documents": len(done.collection.keys),
        "n_encoded": done.n_encoded,
        "n_resumed": done.n_resumed,
    }


def _texts(arguments: argparse.Namespace, state: State, fields: Fields) -> tuple[Texts, int]:
    """Return where the texts are from, and how many documents there the index does not hold.

    Raises:
        UsageError: If they are nowhere.
        ValueError: If a file lacks a document, or has another text for it.
    """
    if arguments.documents is not None:
        rows = document_rows(arguments.documents, fields.key, fields.on)
        keys = Names()
        state.fill("keys", keys.rows)
        return file_texts(rows, fields), check_file(rows, fields, keys)
    if "documents" not in state.parts:
        raise UsageError(f"{arguments.index!r} keeps no documents; pass them with --documents FILE")
    kept = Documents()
    state.fill("documents", kept.rows)
    return kept_texts(kept, fields), 0


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    if not result["models"]:
        return f"{result['index']}: nothing to do, it has this model already"
    earlier = f", {result['n_resumed']} of them earlier" if result["n_resumed"] else ""
    lines = [
        f"{result['index']}: {result['n_documents']} documents encoded anew{earlier}, "
        f"{result['seconds']} s"
    ]
    for place, model in result["models"].items():
        was = f", instead of {model['before']}" if model["before"] else ""
        lines.append(f"the {place} is {model['kind']} by the model {model['now']}{was}")
        if model["n_truncated"]:
            lines.append(f"{model['n_truncated']} texts were longer than it reads, and cut")
    if result["n_unknown"]:
        lines.append(f"{result['n_unknown']} documents of the file are not in the index")
    return "\n".join(lines)
