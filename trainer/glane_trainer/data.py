"""Training examples from a BEIR folder or a file of triples, checked before the first step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glane.evaluation.dataset import Dataset, read_beir, read_jsonl


@dataclass(frozen=True, slots=True)
class Example:
    """A query, a document that answers it, and documents that do not.

    Attributes:
        anchor: The query.
        positive: The document that answers it.
        negatives: Any number of documents that do not.
        teacher_scores: Scores of the positive and of each negative, or nothing.
        place: Where it was read, for messages; examples from two places can be equal.
    """

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()
    teacher_scores: tuple[float, ...] = ()
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training run needs to know.

    Attributes:
        examples: To learn from; queries of `held_out` are not among them.
        known: Every document known to answer a query, by the query's text.
        held_out: To measure on, or None.
    """

    examples: list[Example]
    known: dict[str, frozenset[str]]
    held_out: Dataset | None = None

    def fingerprint(self) -> str:
        """Return the sha256, in hex, of the examples in their order."""
        digest = hashlib.sha256()
        for example in self.examples:
            row = [example.anchor, example.positive, example.negatives, example.teacher_scores]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()

    def check_teacher(self) -> None:
        """Refuse examples that a loss with a teacher cannot learn from.

        Raises:
            ValueError: If one has no negative or no `teacher_scores`; the message says where it
                was read.
        """
        for example in self.examples:
            if not example.negatives or not example.teacher_scores:
                lacking = "teacher_scores" if example.negatives else "negatives"
                raise ValueError(
                    f"{example.place}: a loss with a teacher needs `{lacking}`, but the example "
                    f"of query {example.anchor!r} has none"
                )


def read_data(
    path: str | Path,
    *,
    split: str = "train",
    dev_split: str | None = None,
    holdout: float = 0.1,
    seed: int = 0,
) -> TrainingData:
    """Read all training data and set some queries apart to measure on.

    Args:
        path: A BEIR folder, or a file of JSON lines with `anchor`, `positive`, and `negative` or
            `negatives`, and where a teacher scored them `teacher_scores`: positive first.
        split: Judgements of a BEIR folder to learn from. Negatives are taken from
            `<split>_hardneg.tsv` where it stands: query, positive, negatives joined by spaces.
        dev_split: Judgements of a BEIR folder to measure on, instead of a part of `split`.
        holdout: Share of the distinct queries to measure on, in [0, 1); 0 measures nothing.
        seed: Decides which queries are held out.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line is malformed or names an unknown id (file and line are named), if
            nothing is left to learn from, or `holdout` is outside its range.
    """
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout must be a share from 0 to below 1, got {holdout}")
    if Path(path).is_dir():
        dataset = read_beir(path, split)
        examples = list(_beir_examples(Path(path), split, dataset))
    elif dev_split is not None:
        raise ValueError(f"a dev split needs a BEIR folder, but {str(path)!r} is none")
    else:
        examples = read_triples(path)
        dataset = _as_dataset(examples)
    if not examples:
        raise ValueError(f"{str(path)!r} has no training example")
    if dev_split is not None:
        held_out: Dataset | None = read_beir(path, dev_split)
    else:
        held_out = _held_out(dataset, {e.anchor for e in examples}, holdout, seed)
    kept = _without(examples, held_out)
    if not kept:
        raise ValueError(f"{str(path)!r}: nothing is left to learn from beside the held-out part")
    return TrainingData(kept, _known(examples), held_out)


def read_triples(path: str | Path) -> list[Example]:
    """Read a file of JSON lines.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a line is malformed; the message names file, line and field.
    """
    return [_example(record, f"{str(path)!r}, line {n}") for n, record in read_jsonl(path)]


def _example(record: dict[str, Any], place: str) -> Example:
    if ("negative" in record) == ("negatives" in record):
        raise ValueError(f"{place}: needs one of `negative` and `negatives`")
    negatives = record["negatives"] if "negatives" in record else [record["negative"]]
    if not isinstance(negatives, list):
        kind = type(negatives).__name__
        raise ValueError(f"{place}: `negatives` must be a list of texts, got {kind}")
    name = "negatives" if "negatives" in record else "negative"
    return Example(
        _text(record.get("anchor"), "anchor", place),
        _text(record.get("positive"), "positive", place),
        tuple(_text(negative, name, place) for negative in negatives),
        _teacher_scores(record.get("teacher_scores", []), 1 + len(negatives), place),
        place,
    )


def _text(value: Any, name: str, place: str) -> str:  # noqa: ANN401 (parsed JSON)
    if value is None:
        raise ValueError(f"{place}: `{name}` is missing")
    if not isinstance(value, str):
        raise ValueError(f"{place}: `{name}` must be text, got {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{place}: `{name}` is empty")
    return value


def _teacher_scores(value: Any, n_documents: int, place: str) -> tuple[float, ...]:  # noqa: ANN401
    if not isinstance(value, list):
        kind = type(value).__name__
        raise ValueError(f"{place}: `teacher_scores` must be a list, got {kind}")
    for score in value:
        if type(score) not in (int, float) or not math.isfinite(score):
            raise ValueError(f"{place}: `teacher_scores` must be numbers, got {score!r}")
    if value and len(value) != n_documents:
        raise ValueError(
            f"{place}: `teacher_scores` must be {n_documents}, for the positive and each "
            f"negative, got {len(value)}"
        )
    return tuple(value)


def _beir_examples(folder: Path, split: str, dataset: Dataset) -> Iterator[Example]:
    negatives = _hard_negatives(folder, split, dataset)
    place = f"{str(folder)!r}, split {split!r}"
    for query, grades in dataset.judgements.items():
        for document in (document for document, grade in grades.items() if grade > 0):
            texts = [dataset.corpus[id] for id in negatives.get((query, document), [])]
            yield Example(
                dataset.queries[query], dataset.corpus[document], tuple(texts), place=place
            )


def _hard_negatives(folder: Path, split: str, dataset: Dataset) -> dict[tuple[str, str], list[str]]:
    path = folder / f"{split}_hardneg.tsv"
    if not path.is_file():
        return {}
    negatives = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        cells = line.split("\t")
        if (number == 1 and cells[0] == "query-id") or not line.strip():
            continue
        place = f"{str(path)!r}, line {number}"
        if len(cells) != 3:
            raise ValueError(f"{place}: expected query-id, positive-id, negative-ids")
        query, positive, ids = cells[0], cells[1], cells[2].split()
        if query not in dataset.queries:
            raise ValueError(f"{place}: unknown query {query!r} in split {split!r}")
        for id in (positive, *ids):
            if id not in dataset.corpus:
                raise ValueError(f"{place}: unknown document {id!r}")
        negatives[query, positive] = ids
    return negatives


def _as_dataset(examples: list[Example]) -> Dataset:
    """Return triples as a collection: all their documents, each query judged by its positives."""
    texts = dict.fromkeys(
        text for example in examples for text in (example.positive, *example.negatives)
    )
    ids = {text: str(number) for number, text in enumerate(texts)}
    judgements: dict[str, dict[str, int]] = {}
    for example in examples:
        judgements.setdefault(example.anchor, {})[ids[example.positive]] = 1
    corpus = {id: text for text, id in ids.items()}
    return Dataset(corpus, {anchor: anchor for anchor in judgements}, judgements)


def _held_out(dataset: Dataset, anchors: set[str], share: float, seed: int) -> Dataset | None:
    """Return the collection with a part of its queries, chosen among their distinct texts."""
    n_queries = round(share * len(anchors))
    if share and not n_queries and len(anchors) > 1:
        n_queries = 1
    if not n_queries:
        return None
    order = np.random.default_rng([seed, 0]).permutation(len(anchors))
    texts = sorted(anchors)
    chosen = {texts[i] for i in order[:n_queries]}
    queries = {id: text for id, text in dataset.queries.items() if text in chosen}
    return Dataset(dataset.corpus, queries, {id: dataset.judgements[id] for id in queries})


def _without(examples: list[Example], held_out: Dataset | None) -> list[Example]:
    unseen = set(held_out.queries.values()) if held_out is not None else set()
    return [example for example in examples if example.anchor not in unseen]


def _known(examples: Iterable[Example]) -> dict[str, frozenset[str]]:
    known: dict[str, set[str]] = {}
    for example in examples:
        known.setdefault(example.anchor, set()).add(example.positive)
    return {anchor: frozenset(texts) for anchor, texts in known.items()}
