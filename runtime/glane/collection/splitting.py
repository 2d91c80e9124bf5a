"""Pairs of question and answer as a BEIR folder, some of its questions held out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from glane.collection.fields import join_fields
from glane.collection.folder import DocumentRows
from glane.collection.matching import Document, Equal, How, Match, noting_equal, plain, settle
from glane.collection.pairs import Pair
from glane.collection.records import (
    NAME_THE_ID,
    check_key,
    missing_field,
    present,
    read_record,
)
from glane.collection.spelling import choose_held_out, spelling
from glane.model.preparation import clean
from glane.model.progress import bar
from glane.store import files

UNWRITABLE = re.compile(r'[\t\r\n\ud800-\udfff]|^["\s]|\s$')
"""What a cell of a file of judgements cannot hold, or would not give back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many of the questions are held out: from 0, and below 1 together.

    Attributes:
        test: To measure with in the end.
        dev: To choose settings with.
        seed: Decides which.
    """

    test: float = 0.2
    dev: float = 0.0
    seed: int = 0


@dataclass(slots=True)
class Question:
    """A question, and what is known of its documents.

    Attributes:
        id: Its id.
        text: Its text.
        answers: Ids of the documents that answer it, each with those of its negatives.
    """

    id: str
    text: str
    answers: dict[str, list[str]] = field(default_factory=dict)


class Split(NamedTuple):
    """What was written.

    Attributes:
        n_documents: Documents of the collection.
        n_questions: Questions of each side.
        n_answers: Answers of the pairs, by how they were found.
        left_out: Where the first was read that was left out; "" for none.
        n_lost_negatives: Negatives of the pairs that are no document, and were left out.
    """

    n_documents: int
    n_questions: dict[str, int]
    n_answers: dict[How, int]
    left_out: str
    n_lost_negatives: int


def read_documents(
    rows: DocumentRows, key: str, on: Sequence[str], *, all_needed: bool
) -> Iterator[Document]:
    """Yield the documents of a file.

    Args:
        rows: The file.
        key: Field of the id.
        on: Fields of the text; the first is the title, where there are several.
        all_needed: Whether some document must have each of these fields, or one of them.

    Raises:
        ValueError: If one is malformed, its id appears twice or cannot be written, or fields are
            missing; the message names file, line and field.
    """
    seen, there = set[str](), set[str]()
    record: Mapping[str, Any] = {}
    with bar(None, f"reading {rows.name}") as told:
        for number, record in rows:
            place = rows.place(number)
            id = _id(record, key, on, place)
            if id in seen:
                raise ValueError(f"{place}: document {id!r} appears twice")
            seen.add(id)
            there.update(present(record, on))
            title = join_fields(record, on[:1]) if len(on) > 1 else ""
            yield Document(id, title, join_fields(record, on[1:] or on))
            told.update(1)
    if not seen:
        raise ValueError(f"{rows.name} is empty; expected documents")
    missing = missing_field(on, there, all_needed=all_needed)
    if missing is not None:
        raise ValueError(
            f"{rows.name}: no document has the field {missing!r}: the last has "
            f"{list(record)}; say with --on which are the text"
        )


def _id(record: Mapping[str, Any], key: str, on: Sequence[str], place: str) -> str:
    check_key(record, key, place, NAME_THE_ID)
    id = str(read_record(record, key, on, place)[0])
    if UNWRITABLE.search(id):
        raise ValueError(f"{place}: the id {id!r} cannot be written into a table of judgements")
    return id


def write_split(
    folder: Path,
    pairs: Sequence[Pair],
    documents: Callable[[], Iterator[Document]] | None,
    shares: Shares,
) -> Split:
    """Write `corpus.jsonl`, `queries.jsonl`, `qrels/` and, of triples, `train_hardneg.tsv`.

    The same question in several spellings is several questions, all of them on one side.

    Args:
        folder: An empty folder.
        pairs: Of questions and answers.
        documents: Gives what is searched, whenever it is called; None for the distinct answers,
            and negatives.
        shares: What is held out.

    Raises:
        ValueError: If no answer is a document, or questions are too few.
    """
    texts: dict[str, str] = {}
    for text in (text for pair in pairs for text in (*pair.positives, *pair.negatives)):
        texts.setdefault(plain(text), text)
    own = [Document(f"d{n}", "", clean(text).strip()) for n, text in enumerate(texts.values(), 1)]
    read = documents or (lambda: iter(own))
    equal: dict[str, Equal] = {text: {} for text in texts}
    n_documents = _write_corpus(folder, noting_equal(read(), equal))
    matches = settle(equal, read)
    questions = _questions(pairs, matches)
    if not questions:
        raise ValueError(
            "none of the answers is a document, or a part of one alone; "
            "--on names the fields that are compared"
        )
    sides = _sides(questions, shares)
    _write_questions(folder, questions, sides)
    lost = [pair for pair in pairs if not all(_ids(pair.positives, matches))]
    return Split(
        n_documents,
        {side: len(chosen) for side, chosen in sides.items()},
        dict(Counter(matches[plain(text)].how for pair in pairs for text in pair.positives)),
        lost[0].place if lost else "",
        sum(not ids for pair in pairs for ids in _ids(pair.negatives, matches)),
    )


def _ids(texts: Iterable[str], matches: Mapping[str, Match]) -> list[list[str]]:
    """Return the ids of each text."""
    return [matches[plain(text)].ids for text in texts]


def _questions(pairs: Iterable[Pair], matches: Mapping[str, Match]) -> list[Question]:
    """Return the distinct questions that some document answers, in their order."""
    questions: dict[str, Question] = {}
    for pair in pairs:
        answers = [id for ids in _ids(pair.positives, matches) for id in ids]
        negatives = [id for ids in _ids(pair.negatives, matches) for id in ids]
        if answers:
            text = clean(pair.anchor).strip()
            new = Question(f"q{len(questions) + 1}", text)
            known = questions.setdefault(plain(text), new).answers
            for id in answers:
                known[id] = list(dict.fromkeys([*known.get(id, []), *negatives]))
    return list(questions.values())


def _sides(questions: Sequence[Question], shares: Shares) -> dict[str, list[Question]]:
    """Return the questions of each side, in their order."""
    keys = {question.id: spelling(question.text) for question in questions}
    test = choose_held_out((q.text for q in questions), shares.test, shares.seed)
    rest = [question.text for question in questions if keys[question.id] not in test]
    dev = choose_held_out(rest, shares.dev / (1 - shares.test), shares.seed)
    sides: dict[str, list[Question]] = {"train": []}
    sides |= {side: [] for side, share in (("dev", shares.dev), ("test", shares.test)) if share}
    for question in questions:
        key = keys[question.id]
        sides["test" if key in test else "dev" if key in dev else "train"].append(question)
    if not all(sides.values()):
        n_distinct = len(set(keys.values()))
        raise ValueError(
            f"{n_distinct} distinct questions with an answer are too few to have some in each of "
            f"{' and '.join(sides)}"
        )
    return sides


def _write_corpus(folder: Path, documents: Iterable[Document]) -> int:
    n_documents = 0

    def lines() -> Iterator[bytes]:
        nonlocal n_documents
        for n_documents, (id, title, text) in enumerate(documents, 1):  # noqa: B007
            yield _line({"_id": id, "title": title, "text": text})

    files.write(folder / "corpus.jsonl", lines())
    return n_documents


def _write_questions(
    folder: Path, questions: Sequence[Question], sides: Mapping[str, Sequence[Question]]
) -> None:
    asked = (_line({"_id": question.id, "text": question.text}) for question in questions)
    files.write(folder / "queries.jsonl", asked)
    files.make_folder(folder / "qrels")
    for side, chosen in sides.items():
        rows = [(q.id, id, "1") for q in chosen for id in q.answers]
        _write_table(folder / "qrels" / f"{side}.tsv", ("query-id", "corpus-id", "score"), rows)
    hard = [
        (question.id, id, " ".join(negatives))
        for question in sides["train"]
        for id, negatives in question.answers.items()
        if negatives
    ]
    if hard:
        header = ("query-id", "positive-id", "negative-ids")
        _write_table(folder / "train_hardneg.tsv", header, hard)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    files.write(path, ("\t".join(cells).encode() + b"\n" for cells in (header, *rows)))


def _line(record: Mapping[str, str]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"
