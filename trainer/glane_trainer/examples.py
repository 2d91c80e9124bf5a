"""Training examples from a BEIR folder or a file of triples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from glane.collection.dataset import Dataset
from glane.collection.pairs import Pair
from glane.collection.rows import Rows

SCORES = frozenset({"teacher_scores", "pos_scores", "neg_scores", "scores", "score"})
"""Fields that may hold a teacher's scores."""


T = TypeVar("T")


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

    def with_negatives(self, rows: Sequence[int]) -> Example:
        """Return the example with some of its negatives, and their scores where it has any."""
        scores = self.teacher_scores
        return replace(
            self,
            negatives=tuple(self.negatives[row] for row in rows),
            teacher_scores=(scores[0], *(scores[1 + row] for row in rows)) if scores else (),
        )


def examples_of(pair: Pair) -> list[Example]:
    """Return an example for each positive of a pair.

    Raises:
        ValueError: If its scores are malformed; the message names the field.
    """
    scores, n_positives = scores_of(pair), len(pair.positives)
    return [
        Example(
            pair.anchor,
            positive,
            pair.negatives,
            scores[row : row + 1] + scores[n_positives:],
            pair.place,
        )
        for row, positive in enumerate(pair.positives)
    ]


def scores_of(pair: Pair) -> tuple[float, ...]:
    """Return the teacher's scores of the positives and then the negatives, or nothing.

    They are in `teacher_scores`, in `pos_scores` and `neg_scores` as FlagEmbedding has them, or in
    a list called `score` or `scores` as sentence-transformers mines them.

    Raises:
        ValueError: If they are no numbers, or not as many as the texts; the message names the
            field.
    """
    record = pair.record
    if SCORES.isdisjoint(record):
        return ()
    if record.get("teacher_scores") is not None:
        return _numbers(pair, "teacher_scores", record["teacher_scores"])
    if record.get("pos_scores") or record.get("neg_scores"):
        parts = {name: record.get(name) or [] for name in ("pos_scores", "neg_scores")}
        for name, part in parts.items():
            _check_numbers(name, part)
        both = [score for part in parts.values() for score in part]
        return _numbers(pair, "pos_scores` with `neg_scores", both)
    for name in ("scores", "score"):
        if isinstance(record.get(name), list):
            return _numbers(pair, name, record[name])
    return ()


def _numbers(pair: Pair, name: str, value: Any) -> tuple[float, ...]:  # noqa: ANN401
    _check_numbers(name, value)
    n_documents = len(pair.positives) + len(pair.negatives)
    if value and len(value) != n_documents:
        raise ValueError(
            f"`{name}` must be {n_documents}, for each positive and then each negative, got "
            f"{len(value)}"
        )
    return tuple(value)


def _check_numbers(name: str, value: Any) -> None:  # noqa: ANN401
    if not isinstance(value, list):
        raise ValueError(f"`{name}` must be a list, got {type(value).__name__}")
    for score in value:
        if type(score) not in (int, float) or not math.isfinite(score):
            raise ValueError(f"`{name}` must be numbers, got {score!r}")


def evenly(examples: Sequence[T], most: int) -> Iterator[T]:
    """Yield all of some things, or of more than `most` so many that are spread evenly over them."""
    n_examples = len(examples)
    if n_examples <= most:
        return iter(examples)
    return (examples[int(row)] for row in np.linspace(0, n_examples - 1, most).astype(int))


def read_beir_examples(
    folder: Path, split: str, dataset: Dataset, unknown: set[str]
) -> Iterator[Example]:
    """Yield an example for each document that a BEIR folder's split judges relevant.

    Its negatives are those of `<split>_hardneg.tsv`, where there is such a file (or one that ends
    in `.gz`): query, positive, and negatives joined by spaces, between tabs. Documents that the
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
    yield from judged_examples(dataset, negatives, f"{str(folder)!r}, split {split!r}")


def judged_examples(
    dataset: Dataset, negatives: Mapping[tuple[str, str], Sequence[str]], place: str
) -> Iterator[Example]:
    """Yield an example for each document of a collection that is judged relevant.

    Args:
        dataset: The collection; judged documents that its corpus lacks are passed over.
        negatives: Ids of documents that do not answer, by query id and document id.
        place: How messages call it.
    """
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
    packed = path.with_name(f"{path.name}.gz")
    if not path.is_file() and not packed.is_file():
        return {}
    rows = Rows(path if path.is_file() else packed)
    negatives = {}
    for number, line in rows.lines():
        cells = line.split("\t")
        if (number == 1 and cells[0] == "query-id") or not line.strip():
            continue
        if len(cells) != 3:
            raise ValueError(f"{rows.place(number)}: expected query-id, positive-id, negative-ids")
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
    return example.with_negatives(rows)
