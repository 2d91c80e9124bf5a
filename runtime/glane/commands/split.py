"""`glane split`: make a collection with judgements of pairs of question and answer."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from glane.collection.dataset import document_rows
from glane.collection.matching import Document, How
from glane.collection.pairs import read_pairs
from glane.collection.rows import Rows
from glane.collection.source import STANDARD_INPUT
from glane.collection.splitting import Shares, read_documents, write_split
from glane.commands.documents import add_field_arguments, fields_of, refuse_fields
from glane.commands.pairs import add_pair_arguments, pair_fields
from glane.commands.streams import visible
from glane.commands.usage import Bounded, UsageError
from glane.model.progress import bar, telling
from glane.store.folders import new_folder

FOUND: dict[How, str] = {
    "equal": "are the text of a document",
    "part": "are a part of one document",
    "several": "are in several documents that differ, and are left out",
    "none": "are in no document, and are left out",
}
"""What is said of the answers, by how they were found."""

WRITTEN = {"corpus.jsonl", "queries.jsonl", "qrels", "train_hardneg.tsv"}
"""What a folder may hold that is replaced."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="file of pairs of question and answer, or of triples: JSON lines, a JSON array, CSV, "
        "TSV or Parquet, also compressed by gzip; - is standard input",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="BEIR folder to write, for --data of `glane train` and --dataset of `glane evaluate`",
    )
    add_pair_arguments(parser)
    group = parser.add_argument_group("what is searched")
    group.add_argument(
        "--documents",
        metavar="FILE",
        help="file of all documents, in any of these layouts; each answer is looked for among "
        "them: the text of a document, or a part of one alone; default the answers themselves",
    )
    add_field_arguments(group)
    group = parser.add_argument_group("what is held out")
    for name, share, use in (("test", 0.2, "measure with"), ("dev", 0.0, "choose settings with")):
        group.add_argument(
            f"--{name}",
            type=float,
            action=Bounded,
            least=0,
            most=1,
            default=share,
            metavar="SHARE",
            help=f"share of the questions to {use}, 0 to below 1: qrels/{name}.tsv",
        )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="decides which these are")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a folder that was written before"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the pairs, find their answers among the documents, and write the folder."""
    start = time.perf_counter()
    shares = _shares(arguments)
    documents = _documents(arguments)
    out = Path(arguments.out)
    _check_out(out, overwrite=arguments.overwrite)
    with bar(None, f"reading {arguments.data}") as told:
        pairs = []
        for pair in read_pairs(arguments.data, pair_fields(arguments)):
            pairs.append(pair)
            told.update(1)
    if not pairs:
        raise ValueError(f"{Rows(arguments.data).name} is empty; expected pairs")
    with telling("finding the answers"), new_folder(out, overwrite=True) as folder:
        split = write_split(folder, pairs, documents, shares)
    return {
        "out": arguments.out,
        "documents": arguments.documents,
        "n_documents": split.n_documents,
        "n_pairs": len(pairs),
        "n_questions": split.n_questions,
        "answers": {how: split.n_answers.get(how, 0) for how in FOUND},
        "left_out": split.left_out,
        "n_lost_negatives": split.n_lost_negatives,
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    sides = ", ".join(f"{n} in {side}" for side, n in result["n_questions"].items())
    lines = [f"{result['out']}: {result['n_documents']} documents; questions: {sides}"]
    answers = result["answers"]
    if result["documents"] is not None:
        lines += [f"{answers[how]} answers {text}" for how, text in FOUND.items() if answers[how]]
    if result["left_out"]:
        lines.append(f"the first that is left out: {visible(result['left_out'])}")
    if result["n_lost_negatives"]:
        lines.append(f"{result['n_lost_negatives']} negatives are no document, and are left out")
    return "\n".join(lines)


def _shares(arguments: argparse.Namespace) -> Shares:
    test, dev = arguments.test, arguments.dev
    if not 0 < test + dev < 1:
        raise UsageError(
            f"--test and --dev must be above 0 and below 1 together, got {test:g} and {dev:g}"
        )
    return Shares(test=test, dev=dev, seed=arguments.seed)


def _documents(arguments: argparse.Namespace) -> partial[Iterator[Document]] | None:
    """Return what reads the documents, None where the answers are all there is."""
    if arguments.documents is None:
        refuse_fields(arguments)
        return None
    if arguments.documents == arguments.data == STANDARD_INPUT:
        raise UsageError("DATA and --documents cannot both be standard input")
    key, on = fields_of(arguments)
    rows = document_rows(arguments.documents, key, on)
    return partial(read_documents, rows, key, on, all_needed=arguments.on is not None)


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where something is that may not be replaced.

    Raises:
        FileExistsError: If it is a file, or a folder that holds something: what this command did
            not write is never replaced.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{str(out)!r} is a file; --out is a folder to write")
    held = {path.name for path in out.iterdir()} if out.exists() else set()
    if held and not overwrite:
        raise FileExistsError(f"{str(out)!r} is not empty; pass --overwrite to replace it")
    if others := sorted(held - WRITTEN):
        raise FileExistsError(
            f"{str(out)!r} holds {others[0]!r}, which `glane split` does not write, and so is not "
            "replaced; choose another folder"
        )
