"""Training examples from a BEIR folder or a file of triples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glane.collection.dataset import Dataset
from glane.collection.pairs import Fields, Pair, read_pairs
from glane.collection.rows import Rows


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


def read_triples(
    path: str | Path,
    fields: Fields = Fields(),  # noqa: B008 (frozen)
) -> list[Example]:
    """Read pairs, triples, or lists of positives and negatives; each positive is an example.

    Args:
        path: A file in any layout that `glane.collection.rows.Rows` reads.
        fields: Which fields hold what; by default those with names in common use, see
            `glane.collection.pairs.NAMES`. Scores of a teacher are in `teacher_scores`.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a line is malformed; the message names file, line and field.
    """
    return [example for pair in read_pairs(path, fields) for example in _examples(pair)]


def _examples(pair: Pair) -> Iterator[Example]:
    n_documents = len(pair.positives) + len(pair.negatives)
    scores = _teacher_scores(pair.record.get("teacher_scores"), n_documents, pair.place)
    for position, positive in enumerate(pair.positives):
        own = scores[position : position + 1] + scores[len(pair.positives) :]
        yield Example(pair.anchor, positive, pair.negatives, own, pair.place)


def _teacher_scores(value: Any, n_documents: int, place: str) -> tuple[float, ...]:  # noqa: ANN401
    if value is None:
        return ()
    if not isinstance(value, list):
        kind = type(value).__name__
        raise ValueError(f"{place}: `teacher_scores` must be a list, got {kind}")
    for score in value:
        if type(score) not in (int, float) or not math.isfinite(score):
            raise ValueError(f"{place}: `teacher_scores` must be numbers, got {score!r}")
    if value and len(value) != n_documents:
        raise ValueError(
            f"{place}: `teacher_scores` must be {n_documents}, for each positive and then each "
            f"negative, got {len(value)}"
        )
    return tuple(value)


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
    scores = example.teacher_scores
    return replace(
        example,
        negatives=tuple(example.negatives[row] for row in rows),
        teacher_scores=(scores[0], *(scores[1 + row] for row in rows)) if scores else (),
    )
