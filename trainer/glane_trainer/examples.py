"""Training examples from a BEIR folder or a file of triples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glane.collection.dataset import Dataset, read_jsonl


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


def read_beir_examples(
    folder: Path, split: str, dataset: Dataset, unknown: set[str]
) -> Iterator[Example]:
    """Yield an example for each document that a BEIR folder's split judges relevant.

    Its negatives are those of `<split>_hardneg.tsv`, where there is such a file. Documents that the
    corpus lacks are passed over.

    Args:
        folder: The BEIR folder.
        split: Its judgements.
        dataset: What was read of both.
        unknown: Takes the ids in the file of negatives that the split or the corpus lacks; they
            are passed over.

    Raises:
        ValueError: If a line of it is malformed (file and line are named).
    """
    negatives = _hard_negatives(folder, split, dataset, unknown)
    place = f"{str(folder)!r}, split {split!r}"
    for query, grades in dataset.judgements.items():
        for document in (id for id, grade in grades.items() if grade > 0 and id in dataset.corpus):
            texts = [dataset.corpus[id] for id in negatives.get((query, document), [])]
            yield Example(
                dataset.queries[query], dataset.corpus[document], tuple(texts), place=place
            )


def _hard_negatives(
    folder: Path, split: str, dataset: Dataset, unknown: set[str]
) -> dict[tuple[str, str], list[str]]:
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
        unknown |= {query} - dataset.queries.keys() | {positive, *ids} - dataset.corpus.keys()
        negatives[query, positive] = [id for id in ids if id in dataset.corpus]
    return negatives


def without_its_positive(example: Example) -> Example:
    """Return the example without negatives that are its own positive."""
    own = example.positive.strip()
    rows = [row for row, text in enumerate(example.negatives) if text.strip() != own]
    if len(rows) == len(example.negatives):
        return example
    scores = example.teacher_scores
    return replace(
        example,
        negatives=tuple(example.negatives[row] for row in rows),
        teacher_scores=(scores[0], *(scores[1 + row] for row in rows)) if scores else (),
    )
