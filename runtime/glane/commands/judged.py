"""The collection that `glane evaluate` measures on: a BEIR folder, or its files one by one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from glane.collection.dataset import Dataset, read_beir, read_collection
from glane.collection.ids import find_ids, in_both_forms
from glane.collection.source import STANDARD_INPUT
from glane.commands.documents import add_field_arguments, fields_of
from glane.commands.usage import UsageError
from glane.search import Search

FILES = ("documents", "queries", "qrels")
"""Options that name the files of a collection one by one."""

ONE_INPUT = "only one file can be standard input"


def add_collection_arguments(parser: argparse.ArgumentParser, split: str = "test") -> None:
    """Declare the collection.

    Args:
        parser: Of the command.
        split: The split that is read where none is named.
    """
    parser.set_defaults(default_split=split)
    group = parser.add_argument_group("collection")
    group.add_argument("--dataset", metavar="DIR", help="BEIR folder")
    group.add_argument(
        "--split", metavar="NAME", help=f"judgements of --dataset, qrels/NAME.tsv, default {split}"
    )
    group.add_argument(
        "--documents",
        metavar="FILE",
        help="in place of --dataset, as in `glane index`; with an index or a run not needed",
    )
    group.add_argument(
        "--queries",
        metavar="FILE",
        help="with fields _id or id, and text, query or question; with a run not needed",
    )
    group.add_argument(
        "--qrels", metavar="FILE", help="judgements: query, document, grade, or TREC's four columns"
    )
    add_field_arguments(group)


def check_collection(arguments: argparse.Namespace, runs: Sequence[str] = ()) -> None:
    """Refuse what is wrong with the options before anything is read.

    Args:
        arguments: Of the command.
        runs: Files of rankings, if such are measured; they need no text of queries unless there are
            documents, which may be the queries themselves.

    Raises:
        UsageError: If options are wrong, or do not go together.
    """
    given = [name for name in FILES if getattr(arguments, name) is not None]
    if arguments.dataset is not None and given:
        raise UsageError(f"pass either --dataset or --{given[0]}")
    if arguments.dataset is None:
        if not given:
            raise UsageError("pass --dataset, or --documents, --queries and --qrels")
        if arguments.split is not None:
            raise UsageError("--split is of --dataset; name the file of judgements with --qrels")
        alone = runs and arguments.documents is None and arguments.queries is None
        check_files(arguments, FILES[2:] if alone else FILES if arguments.retriever else FILES[1:])
    inputs = [getattr(arguments, name) for name in given]
    if [*runs, *inputs].count(STANDARD_INPUT) > 1:
        raise UsageError(ONE_INPUT)
    fields_of(arguments)


def check_files(arguments: argparse.Namespace, needed: Sequence[str] = FILES) -> bool:
    """Return whether a collection is given file by file.

    Args:
        arguments: That have the options of `FILES`.
        needed: Those that must be given where any is.

    Raises:
        UsageError: If one of them is missing, or more than one is standard input.
    """
    given = [name for name in FILES if getattr(arguments, name) is not None]
    missing = [f"--{name}" for name in needed if name not in given]
    if given and missing:
        raise UsageError(f"--{given[0]} needs {' and '.join(missing)}")
    if [getattr(arguments, name) for name in given].count(STANDARD_INPUT) > 1:
        raise UsageError(ONE_INPUT)
    return bool(given)


def read_judged(arguments: argparse.Namespace, search: Search | None) -> Dataset:
    """Read the collection.

    Args:
        arguments: What `check_collection` has seen.
        search: The index that is measured, if it is one; its documents are known where no others
            are named, and the fields are its own where none are.

    Raises:
        OSError: If a file is missing or not readable.
        ValueError: If one is malformed, or the index lacks documents, or holds an id in both forms.
    """
    key, on = fields_of(arguments)
    if arguments.dataset is not None:
        dataset = read_beir(arguments.dataset, _split(arguments), key, on)
    else:
        if search is not None:
            key = arguments.key or search.key
            on = search.on if arguments.on is None else on
        dataset = read_collection(arguments.queries, arguments.qrels, arguments.documents, key, on)
    return dataset if search is None else _of_index(dataset, search, arguments.index)


def names_of(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Return what the collection is called in reports."""
    if arguments.dataset is not None:
        return {"dataset": Path(arguments.dataset).name, "split": _split(arguments)}
    return {"dataset": Path(arguments.qrels).name, "split": None}


def _split(arguments: argparse.Namespace) -> str:
    return str(arguments.split or arguments.default_split)


def _of_index(dataset: Dataset, search: Search, index: str) -> Dataset:
    """Return the collection with what is unknown to an index counted.

    Raises:
        ValueError: If the index lacks documents of the collection, or holds an id in both forms.
    """
    twice = in_both_forms(search.keys)
    if twice is not None:
        raise ValueError(
            f"{index!r} holds both {twice!r} and {str(twice)!r}, which are one id in files; delete "
            "one of them, or index again"
        )
    missing = _missing(search, list(dataset.corpus))
    if missing:
        raise ValueError(
            f"{index!r} lacks {len(missing)} of the documents, {missing[0]!r} among them"
        )
    if dataset.corpus:
        return dataset
    judged = {id for grades in dataset.judgements.values() for id in grades}
    return replace(dataset, n_unknown_documents=len(_missing(search, sorted(judged))))


def _missing(search: Search, ids: Sequence[str]) -> list[str]:
    return [ids[row] for row in np.flatnonzero(find_ids(search.keys, ids) < 0).tolist()]
