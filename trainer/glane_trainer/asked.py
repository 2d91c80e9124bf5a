"""What a training learns from, as its options say it: checked without torch, then read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glane.collection.by_id import documents_by_id, queries_by_id
from glane.collection.dataset import Dataset, read_collection
from glane.collection.pairs import Fields
from glane.collection.source import STANDARD_INPUT
from glane.commands.documents import add_field_arguments, fields_of, refuse_fields
from glane.commands.judged import FILES, ONE_INPUT, check_files
from glane.commands.pairs import add_pair_arguments, pair_fields
from glane.commands.usage import UsageError
from glane_trainer.data import TrainingData
from glane_trainer.reading import read_data
from glane_trainer.sources import Texts, query_key

TEXTS = FILES[:2]
"""Options that name the files of what triples name by ids: all of `FILES` but the judgements."""


FILE_OPTIONS = {
    "documents": "in place of --data, or what its triples name by ids: file of documents, in any "
    "of these layouts; without --queries and --qrels it is documents alone, or a BEIR folder, "
    "beside --data or not: questions are made of them, and none of these is held out",
    "queries": "likewise, of queries, with fields _id or id, and text, query or question",
    "qrels": "in place of --data: judgements: query, document, grade, or TREC's four columns",
}
"""What the files of a collection are for, each named by an option."""


def add_data_arguments(group: Any) -> None:  # noqa: ANN401 (argparse names no type)
    """Declare the options."""
    group.add_argument(
        "--data",
        action="append",
        metavar="DIR_OR_FILE",
        help="what to learn from: a BEIR folder, or a file of triples or pairs (JSON lines, a JSON "
        "array, CSV, TSV, Parquet, also compressed by gzip; - is standard input); may be given "
        "several times: each batch is of one of them; default none: needed, but with --max-steps 0",
    )
    group.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="X",
        help="how often each --data is learned from: 2 1 for two examples of the first to one of "
        "the second; an epoch then has as many examples as all of them together, of the first "
        "some again and of the second others in the next epoch; default each example once an epoch",
    )
    group.add_argument(
        "--split", default="train", help="judgements of a BEIR folder to learn from: qrels/SPLIT"
    )
    add_pair_arguments(group)
    for name, text in FILE_OPTIONS.items():
        group.add_argument(f"--{name}", metavar="FILE", help=text)
    add_field_arguments(group)
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument(
        "--holdout",
        type=float,
        default=0.1,
        metavar="X",
        help="share of the queries to measure on, 0 to below 1, which is not learned from",
    )
    held_out.add_argument(
        "--dev-split",
        metavar="SPLIT",
        help="judgements of a BEIR folder to measure on instead: qrels/SPLIT",
    )


def check_sources(arguments: argparse.Namespace) -> bool:
    """Refuse options that do not go together; return whether there is something to learn from.

    Raises:
        UsageError: If there are any, or nothing is named and a training needs it.
    """
    data: list[str] = arguments.data or []
    files = [name for name in FILES if getattr(arguments, name) is not None]
    if data and "qrels" in files:
        raise UsageError(f"pass either --data or --{files[0]}")
    alone = from_documents(arguments)
    if not alone:
        check_files(arguments, TEXTS if data else FILES)
    if [*data, *(getattr(arguments, name) for name in files)].count(STANDARD_INPUT) > 1:
        raise UsageError(ONE_INPUT)
    if not data and not files and arguments.max_steps != 0:
        raise UsageError("--data is missing; only --max-steps 0 does without")
    if not files:
        refuse_fields(arguments)
    fields_of(arguments)
    _check_fields_of_pairs(arguments, data)
    if arguments.dev_split is not None and ("qrels" in files or (alone and not data)):
        raise UsageError("--dev-split needs a BEIR folder")
    _check_weights(arguments.weights, len(data), alone=alone)
    return bool(data or files)


def _check_weights(weights: list[float] | None, n_data: int, *, alone: bool) -> None:
    if weights is None:
        return
    if len(weights) != n_data + alone:
        last = " and a last one for --documents" if alone else ""
        raise UsageError(
            f"--weights must be one for each --data{last}, {n_data + alone}, got {len(weights)}"
        )
    if not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(f"--weights must be above 0 and finite, got {weights}")


def _check_fields_of_pairs(arguments: argparse.Namespace, data: list[str]) -> None:
    if pair_fields(arguments) == Fields() or not all(Path(path).is_dir() for path in data):
        return
    told = "there is none" if not data else f"{data[0]!r} is a folder"
    raise UsageError(
        f"--anchor, --positive and --negatives name fields of a file of --data, but {told}"
    )


def from_documents(arguments: argparse.Namespace) -> bool:
    """Return whether questions are made of documents: nobody's queries are named for them."""
    return arguments.documents is not None and arguments.queries is None and arguments.qrels is None


def read_sources(
    arguments: argparse.Namespace, questions: Path | None = None
) -> TrainingData | None:
    """Read what is learned from; None where nothing is named.

    Args:
        arguments: Of `glane train`.
        questions: File of those that were made of documents, if they were.

    Raises:
        OSError: If a file is missing or not readable.
        ValueError: As `read_data`.
    """
    paths: list[str | Dataset] = list(arguments.data or [])
    texts = None
    key, on = fields_of(arguments)
    if paths and arguments.documents is not None and not from_documents(arguments):
        texts = Texts(
            queries_by_id(arguments.queries, query_key),
            documents_by_id(arguments.documents, arguments.key, on, hash),
        )
    elif arguments.qrels is not None:
        files = (arguments.queries, arguments.qrels, arguments.documents)
        paths = [read_collection(*files, key, on)]
    if not paths and questions is None:
        return None
    return read_data(
        *paths,
        weights=arguments.weights,
        split=arguments.split,
        dev_split=arguments.dev_split,
        holdout=arguments.holdout,
        seed=arguments.seed,
        fields=pair_fields(arguments),
        texts=texts,
        questions=questions,
    )


def told_sources(arguments: argparse.Namespace) -> str:
    """Return how messages call what is learned from."""
    named = [*(arguments.data or [])]
    if arguments.documents is not None and (not named or from_documents(arguments)):
        named.append(arguments.documents)
    return " and ".join(named)
