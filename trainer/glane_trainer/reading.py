"""Reads all training data, and sets some queries apart to measure on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glane.collection.dataset import Dataset, read_beir
from glane.collection.pairs import Fields
from glane.collection.spelling import spelling
from glane.types import Mask
from glane_trainer.data import Counts, TrainingData
from glane_trainer.examples import evenly, judged_examples, read_beir_examples
from glane_trainer.holdout import as_dataset, choose, joined, restricted
from glane_trainer.many import Examples
from glane_trainer.sources import InFile, InMemory, Source, Texts, query_key

LOOKED_AT = 10_000
"""Examples of shared queries whose negatives are looked at for the count of known ones."""


def read_data(
    *paths: str | Path | Dataset,
    weights: Sequence[float] | None = None,
    split: str = "train",
    dev_split: str | None = None,
    holdout: float = 0.1,
    seed: int = 0,
    fields: Fields = Fields(),  # noqa: B008 (frozen)
    texts: Texts | None = None,
    questions: str | Path | None = None,
) -> TrainingData:
    """Read all training data and set some queries apart to measure on.

    Of a file only some bytes an example stay in memory: it must stay as it is while there is
    training, see `glane.collection.stored.Stored`. A folder, or a collection, is held whole.

    Args:
        paths: At least one, but with `questions`. A BEIR folder, or a file in any layout that
            `glane.collection.rows.Rows` reads: triples, pairs without negatives, or lists of
            positives and negatives, with a teacher's scores or without. Or a collection that was
            read already, such as by `glane.collection.dataset.read_collection`.
        weights: How often the examples of each path are learned from, in proportion, see
            `glane_trainer.batches.Order`; by default each example once an epoch.
        split: Judgements of a BEIR folder to learn from. Negatives are taken from
            `<split>_hardneg.tsv`, where there is one: query, positive, negatives joined by spaces.
        dev_split: Judgements of the BEIR folders to measure on, instead of a part of `split`.
        holdout: Share of the distinct queries to measure on, in [0, 1); 0 measures nothing. See
            `glane_trainer.holdout` for how many are held out of a large file.
        seed: Decides which queries are held out.
        fields: Which fields of a file hold what, where they have no name in common use.
        texts: What the files name by ids; None where they have the texts themselves.
        questions: A further file, of questions that nobody asked (`glane_trainer.mining`): they are
            learned from, and of them none is held out.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line is malformed (file, line and field are named), nothing is left to
            learn from, `holdout` or `weights` are outside their range, or a setting is not for
            these paths.
    """
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout must be a share from 0 to below 1, got {holdout}")
    n_asked = len(paths)
    _check_weights(weights, n_asked + (questions is not None))
    if fields != Fields() and not any(_is_file(path) for path in paths):
        told = f"{_name(paths[0])} is a folder" if paths else "there is none"
        raise ValueError(f"fields are named for a file, but {told}")
    unknown = set[str]()
    read = [_read(path, split, (fields, texts), unknown) for path in paths]
    if questions is not None:
        paths = (*paths, questions)
        read.append(_Read(InFile(questions, Fields()), None))
    judged = [part.dataset for part in read if part.dataset is not None]
    examples = Examples.read([part.source for part in read], weights)
    source_of = examples.source_of()
    for number, path in enumerate(paths):
        if not (source_of == number).any():
            raise ValueError(f"{_name(path)} has no training example")
    if dev_split is not None:
        dev = _read_dev(paths, dev_split)
        judged, held_out = [*judged, *dev], joined(dev)
        held, n_respelled = _asked_in(examples, held_out)
    else:
        held = choose(examples, holdout, seed, source_of < n_asked)
        held_out, n_respelled = _collection(read, examples, source_of, held), 0
    kept = examples.taken(~held) if held.any() else examples
    if not len(kept):
        named = " and ".join(map(_name, paths))
        raise ValueError(f"{named}: nothing is left to learn from beside the held-out part")
    counts = Counts(
        own_negatives=examples.n_own_negatives,
        known_negatives=_n_known_negatives(examples),
        spelled_otherwise=n_respelled,
        unknown_documents=sum(part.n_unknown_documents for part in judged),
        unknown_queries=sum(part.n_unknown_queries for part in judged),
        unknown_negatives=len(unknown),
        contradicting=sum(part.n_contradicting for part in judged),
        without_negatives=int((~kept.has_negatives()).sum()),
    )
    return TrainingData(kept, held_out, counts)


class _Read(NamedTuple):
    """What a path gives: examples, and the collection that they are of where it is one."""

    source: Source
    dataset: Dataset | None


def _check_weights(weights: Sequence[float] | None, n_paths: int) -> None:
    if weights is None:
        return
    if len(weights) != n_paths:
        raise ValueError(f"weights must be one for each data, {n_paths}, got {len(weights)}")
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise ValueError(f"weights must be above 0 and finite, got {weight}")


def _is_file(path: str | Path | Dataset) -> bool:
    return not isinstance(path, Dataset) and not Path(path).is_dir()


def _name(path: str | Path | Dataset) -> str:
    return "the collection" if isinstance(path, Dataset) else repr(str(path))


def _read(
    path: str | Path | Dataset,
    split: str,
    in_file: tuple[Fields, Texts | None],
    unknown: set[str],
) -> _Read:
    if isinstance(path, Dataset):
        return _Read(InMemory(judged_examples(path, {}, _name(path)), _name(path)), path)
    if _is_file(path):
        return _Read(InFile(path, *in_file), None)
    dataset = read_beir(path, split)
    examples = read_beir_examples(Path(path), split, dataset, unknown)
    return _Read(InMemory(examples, f"{_name(path)}, judgements of {split!r}"), dataset)


def _read_dev(paths: Sequence[str | Path | Dataset], split: str) -> list[Dataset]:
    folders = [path for path in paths if not isinstance(path, Dataset) and Path(path).is_dir()]
    if not folders:
        raise ValueError(f"dev_split needs a BEIR folder, but {_name(paths[0])} is not a folder")
    return [read_beir(folder, split) for folder in folders]


def _asked_in(examples: Examples, held_out: Dataset | None) -> tuple[Mask, int]:
    """Return which examples ask a query of a collection, and how many spell it otherwise."""
    texts = set() if held_out is None else set(held_out.queries.values())
    asked = examples.ask(query_key(text) for text in texts)
    return asked, sum(example.anchor not in texts for example in examples.taken(asked))


def _collection(
    read: Sequence[_Read], examples: Examples, source_of: npt.NDArray[np.int32], held: Mask
) -> Dataset | None:
    """Return what held-out examples are measured in: their own collections, or all files' texts."""
    if not held.any():
        return None
    in_files = np.array([part.dataset is None for part in read])[source_of]
    parts = []
    if (held & in_files).any():
        parts.append(as_dataset(examples.taken(in_files), held[in_files]))
    for number, (_, dataset) in enumerate(read):
        asked = held & (source_of == number)
        if dataset is not None and asked.any():
            spellings = {spelling(example.anchor) for example in examples.taken(asked)}
            ids = {id for id, text in dataset.queries.items() if spelling(text) in spellings}
            parts.append(restricted(dataset, ids))
    return joined(parts)


def _n_known_negatives(examples: Examples) -> int:
    shared = examples.taken(examples.shares_query & examples.has_negatives())
    return sum(
        negative in known
        for example in evenly(shared, LOOKED_AT)
        for known in examples.known([example])
        for negative in example.negatives
    )
