"""`glane mine`: hard negatives and a teacher's scores, for `glane train` to learn from."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import fields as fields_of_class
from pathlib import Path
from typing import Any, get_args

from glane.collection.dataset import document_rows, read_beir
from glane.collection.pairs import Fields, read_pairs
from glane.collection.records import read_record
from glane.commands.documents import add_field_arguments, fields_of, refuse_fields
from glane.commands.fusing import add_fusion_arguments, fusion_of
from glane.commands.pairs import add_pair_arguments, pair_fields
from glane.commands.stages import (
    add_stage_arguments,
    build_search,
    check_stages,
    load_search,
    refuse_stages,
    stage_names,
)
from glane.commands.usage import UsageError
from glane.model.progress import telling
from glane_trainer.mining.choosing import Choice, Sampling, Scale
from glane_trainer.mining.draft import check_out
from glane_trainer.mining.ground import Ground, ground_of_collection, ground_of_pairs
from glane_trainer.mining.mining import Miner, Teacher, mine
from glane_trainer.mining.ranking import Ranker, SearchRanker
from glane_trainer.mining.report import told
from glane_trainer.settings import Device

DEFAULT = Choice()

WAYS = ("retriever", "index", "dense")
"""Options that say what finds the candidates."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR_OR_FILE",
        help="queries and their answers: a BEIR folder, or a file of pairs or triples, as "
        "`glane train` reads them",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="JSON lines to write, for `glane train --data`"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is there, or what is begun"
    )
    group = parser.add_argument_group("collection")
    group.add_argument(
        "--split", metavar="NAME", help="judgements of a BEIR folder, qrels/NAME.tsv, default train"
    )
    add_pair_arguments(group)
    group.add_argument(
        "--documents",
        metavar="FILE",
        help="with a file of pairs: further documents that negatives are taken from; default those "
        "of the file alone",
    )
    add_field_arguments(group)
    _add_candidates_arguments(parser)
    _add_choice_arguments(parser.add_argument_group("negatives"))


def _add_candidates_arguments(parser: argparse.ArgumentParser) -> None:
    add_stage_arguments(parser, required=False)
    add_fusion_arguments(parser, "the index's or the model's, or ")
    group = parser.add_argument_group("candidates and teacher")
    group.add_argument(
        "--index",
        metavar="INDEX",
        help="an index of the documents, in place of --retriever: nothing is encoded again",
    )
    group.add_argument(
        "--dense",
        metavar="NAME_OR_DIR",
        help="a dense encoder in place of --retriever: a folder of sentence-transformers or "
        "transformers, or a name on the Hugging Face hub",
    )
    group.add_argument(
        "--teacher",
        metavar="NAME_OR_DIR",
        help="a cross-encoder or a dense encoder whose scores are written; default the scores "
        "that the candidates are ranked by",
    )
    group.add_argument(
        "--device",
        choices=get_args(Device),
        default="auto",
        help="where --dense and --teacher compute; auto is CUDA, then MPS, then the CPU",
    )


def _add_choice_arguments(group: Any) -> None:  # noqa: ANN401 (argparse names no type)
    group.add_argument(
        "--n-negatives",
        type=int,
        default=DEFAULT.n_negatives,
        metavar="N",
        help="negatives of each pair of query and answer, at most",
    )
    group.add_argument(
        "--ranks",
        default="{}-{}".format(*DEFAULT.ranks),
        metavar="FIRST-LAST",
        help="ranks that negatives are taken from, from 1; known answers do not count",
    )
    for name, text in (
        ("margin", "in the teacher's own units"),
        ("relative-margin", "as a share of the answer's score"),
    ):
        group.add_argument(
            f"--{name}",
            type=float,
            metavar="X",
            help="leave out what the teacher scores nearer to the answer than this, "
            f"{text}: it may be an answer too",
        )
    group.add_argument(
        "--sampling",
        choices=get_args(Sampling),
        default=DEFAULT.sampling,
        help="which of those become negatives: the first by rank, drawn at random, or half of "
        "them first and the others drawn from behind",
    )
    group.add_argument(
        "--scale",
        choices=get_args(Scale),
        default=DEFAULT.scale,
        help="what is made of a query's scores: from 0 to 1, of mean 0 and deviation 1, or nothing",
    )
    group.add_argument(
        "--seed", type=int, default=DEFAULT.seed, metavar="N", help="decides what is drawn"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read the data, rank, score, choose and write."""
    start = time.perf_counter()
    choice = _check(arguments)
    out = Path(arguments.out)
    check_out(out, overwrite=arguments.overwrite)
    with telling(f"reading {arguments.data}"):
        ground = _ground(arguments)
    if not ground.asked:
        raise ValueError(f"{arguments.data!r} has no query with an answer among its documents")
    stages, ranker = _ranker(arguments, ground)
    miner = Miner(ground, ranker, _teacher(arguments), choice)
    result = mine(miner, len(ground.asked), out, overwrite=arguments.overwrite)
    return {
        "out": arguments.out,
        "data": arguments.data,
        **stages,
        "teacher": arguments.teacher,
        "n_documents": len(ground.texts),
        "n_queries": len(ground.asked),
        **ground.counts,
        **result,
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return "\n".join([f"{result['out']}: of {result['n_documents']} documents", *told(result)])


def _check(arguments: argparse.Namespace) -> Choice:
    """Refuse what is wrong with the options before anything is read.

    Raises:
        UsageError: If options are wrong, or do not go together.
    """
    given = [name for name in WAYS if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise UsageError(f"pass one of --{given[0]} and --{given[1]}")
    if not given:
        arguments.retriever = "bm25"
    if arguments.retriever:
        check_stages(arguments)
    else:
        refuse_stages(arguments)
    if arguments.dense is not None:
        _refuse_search(arguments)
    _check_collection(arguments)
    return _choice(arguments)


def _refuse_search(arguments: argparse.Namespace) -> None:
    for option in ("model", "reranker", "candidates", "fuse", "fuse_weight"):
        if getattr(arguments, option) is not None:
            name = option.replace("_", "-")
            raise UsageError(f"--{name} does not go with --dense, which ranks alone")


def _check_collection(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.data).is_dir()
    if folder and pair_fields(arguments) != Fields():
        raise UsageError(
            "--anchor, --positive and --negatives name fields of a file of --data, but "
            f"{arguments.data!r} is a folder"
        )
    if folder and arguments.documents is not None:
        raise UsageError(f"--documents goes with a file of pairs; {arguments.data!r} is a folder")
    if not folder and arguments.split is not None:
        raise UsageError(f"--split is of a BEIR folder; {arguments.data!r} is none")
    if not folder and arguments.documents is None:
        refuse_fields(arguments)
        if arguments.index is not None:
            raise UsageError("--index with a file of pairs needs --documents, which has their ids")
    fields_of(arguments)


def _choice(arguments: argparse.Namespace) -> Choice:
    low, dash, high = arguments.ranks.partition("-")
    if not (dash and low.isdecimal() and high.isdecimal()):
        raise UsageError(f"--ranks must be a first and a last such as 5-50, got {arguments.ranks}")
    names = [field.name for field in fields_of_class(Choice)]
    given = {name: getattr(arguments, name) for name in names}
    try:
        return Choice(**{**given, "ranks": (int(low), int(high))})
    except ValueError as error:
        name, _, told = str(error).partition(" ")
        raise UsageError(f"--{name.replace('_', '-')} {told}") from None


def _ground(arguments: argparse.Namespace) -> Ground:
    key, on = fields_of(arguments)
    if Path(arguments.data).is_dir():
        return ground_of_collection(read_beir(arguments.data, arguments.split or "train", key, on))
    documents: Iterator[tuple[str, str]] = iter(())
    if arguments.documents is not None:
        documents = _documents(arguments.documents, key, on)
    return ground_of_pairs(read_pairs(arguments.data, pair_fields(arguments)), documents)


def _documents(path: str, key: str, on: list[str]) -> Iterator[tuple[str, str]]:
    rows = document_rows(path, key, on)
    seen: set[str] = set()
    for number, record in rows:
        id, text = read_record(record, key, on, rows.place(number))
        if str(id) in seen:
            raise ValueError(f"{rows.place(number)}: `{key}` {id!r} appears twice")
        seen.add(str(id))
        yield str(id), text


def _ranker(arguments: argparse.Namespace, ground: Ground) -> tuple[dict[str, Any], Ranker]:
    """Return the names of the stages, and what ranks."""
    if arguments.dense is not None:
        from glane_trainer.devices import available_device
        from glane_trainer.mining.dense import DenseEncoder, DenseRanker

        with telling("encoding the documents"):
            encoder = DenseEncoder(arguments.dense, available_device(arguments.device))
            return {"retriever": arguments.dense}, DenseRanker(encoder, ground.texts)
    if arguments.index is not None:
        search = load_search(arguments)
    else:
        search = build_search(arguments, "_id", ["text"])
        records = zip(ground.names, ground.texts, strict=True)
        search.add(({"_id": name, "text": text} for name, text in records), progress=True)
    return dict(stage_names(search)), SearchRanker(search, ground.names, fusion_of(arguments))


def _teacher(arguments: argparse.Namespace) -> Teacher | None:
    if arguments.teacher is None:
        return None
    from glane_trainer.devices import available_device
    from glane_trainer.mining.teachers import load_teacher

    with telling("loading the teacher"):
        return load_teacher(arguments.teacher, available_device(arguments.device))
