"""Learning from documents alone: questions made of them, and labels by BM25 and the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.collection.dataset import document_rows
from glane.collection.fields import join_fields
from glane.collection.records import missing_field, present
from glane.collection.spelling import spelling
from glane.retrievers.bm25 import BM25
from glane.retrievers.fusion import DEFAULT_WEIGHT, UNSAID
from glane.search import Search
from glane_trainer.examples import evenly
from glane_trainer.mining.choosing import Choice
from glane_trainer.mining.ground import Asked, Ground
from glane_trainer.mining.mining import Miner, Teacher
from glane_trainer.mining.pieces import pieces_of
from glane_trainer.mining.ranking import SearchRanker

RANKS = (5, 34)
"""BM25's ranks that negatives come from: what is before may answer as well."""

N_NEGATIVES = 7

MOST_DOCUMENTS = 20_000
"""Documents that questions are made of; of more, so many drawn by seed."""

SHARED = 3
"""Documents that may have one question in common; "Untitled" asks for nothing."""

SALT = 5
"""Set beside the seed, so that no other part of the package draws the same."""


class Document(NamedTuple):
    """A document: its title, which may be empty, and its text."""

    title: str
    text: str


class Alone(NamedTuple):
    """What is made of documents.

    Attributes:
        ground: Texts without their titles, and then what is left of them without a question.
        n_documents: How many of these are whole texts: what can be found.
        counts: What was made, and what was left out, by the names of `COUNTED`.
    """

    ground: Ground
    n_documents: int
    counts: dict[str, int]

    def documents(self) -> list[str]:
        """Return the whole texts; of many, so many that are evenly chosen."""
        return list(evenly(self.ground.texts[: self.n_documents], MOST_DOCUMENTS))

    def queries(self) -> list[str]:
        """Return the questions."""
        return [asked.query for asked in self.ground.asked]


COUNTED = {
    "title": "titles",
    "heading": "headings",
    "sentence": "sentences",
    "crop": "crops",
    "repeated": "documents have the text of another: passed over",
    "no_text": "documents have no text beside their title: passed over",
    "short": "documents are too short for a question: only searched",
    "drawn": "documents have questions made of them, drawn from all",
    "shared": f"questions are those of more than {SHARED} documents: left out",
}
"""What is said of the counts."""


def read_documents(path: str | Path, key: str, on: Sequence[str]) -> list[Document]:
    """Read documents, of which nothing but the texts is used.

    Args:
        path: A file in any layout that `Rows` reads, or a BEIR folder, of which it is the corpus.
        key: Field of the id, of a file without a header.
        on: Fields of the text: the last is the text, what comes before it the title.

    Raises:
        OSError: If a file is missing or not readable.
        ValueError: If a record is malformed, there is none, or none has these fields.
    """
    rows = document_rows(path, key, on)
    found, there = [], set[str]()
    for number, record in rows:
        there.update(present(record, on))
        try:
            found.append(Document(join_fields(record, on[:-1]), join_fields(record, on[-1:])))
        except ValueError as error:
            raise ValueError(f"{rows.place(number)}: {error}") from None
    if not found:
        raise ValueError(f"{rows.name} is empty; expected documents")
    missing = missing_field(on, there, all_needed=False)
    if missing is not None:
        raise ValueError(f"{rows.name}: no document has the field {missing!r}; name it with --on")
    return found


def questions_of(documents: Iterable[Document], seed: int) -> Alone:
    """Return the questions that documents seem to answer, with what of each answers it.

    All texts are without their titles, those that are found and those that answer alike, so that
    no one can tell them apart by that.

    Args:
        documents: In an order that stays.
        seed: Decides which documents are used, of many, and what is drawn of a text.

    Raises:
        ValueError: If no question can be made of them.
    """
    counts: Counter[str] = Counter()
    kept = list(_distinct(documents, counts))
    texts = [document.text for document in kept]
    numbers = {text: number for number, text in enumerate(texts)}
    order = np.random.default_rng([seed, SALT]).permutation(len(kept))[:MOST_DOCUMENTS]
    if len(order) < len(kept):
        counts["drawn"] = len(order)
    terms = Analyzer(language="auto")
    asked: dict[str, list[tuple[str, int, int]]] = {}
    kinds: dict[str, str] = {}
    for number in np.sort(order).tolist():
        random = np.random.default_rng([seed, SALT, number])
        pieces = pieces_of(kept[number].title, kept[number].text, terms, random)
        counts["short"] += not pieces
        for piece in pieces:
            answer = numbers.setdefault(piece.answer, len(texts))
            if answer == len(texts):
                texts.append(piece.answer)
            name = spelling(piece.query)
            asked.setdefault(name, []).append((piece.query, answer, number))
            kinds.setdefault(name, piece.kind)
    few = {name: rows for name, rows in asked.items() if len({row[2] for row in rows}) <= SHARED}
    counts["shared"] = len(asked) - len(few)
    counts.update(kinds[name] for name in few)
    if not few:
        raise ValueError(
            f"no question can be made of {len(kept)} documents: expected titles, or texts of some "
            "sentences"
        )
    ground = Ground([str(number) for number in range(len(texts))], texts, list(_all(few)))
    return Alone(ground, len(kept), {name: counts[name] for name in COUNTED if counts[name]})


def miner_of(alone: Alone, teacher: Teacher | None, seed: int) -> Miner:
    """Return what mines negatives for the questions, scored by BM25 and a teacher together.

    What the two score above the answer is no negative; by BM25 alone nobody knows that.

    Args:
        alone: The questions.
        teacher: Scores texts: the model that the training begins with. None for BM25 alone.
        seed: Decides which negatives are drawn.
    """
    ground = alone.ground
    search = Search(BM25(analyzer=Analyzer(language="auto")), key="_id", on=["text"])
    rows = zip(ground.names, ground.texts, strict=True)
    search.add(({"_id": name, "text": text} for name, text in rows), progress=True)
    ranker = SearchRanker(search, ground.names, UNSAID, n_found=alone.n_documents)
    margin = None if teacher is None else 0.0
    choice = Choice(
        n_negatives=N_NEGATIVES, ranks=RANKS, margin=margin, sampling="random", seed=seed
    )
    share = None if teacher is None else DEFAULT_WEIGHT
    return Miner(ground, ranker, teacher, choice, share=share, without_negatives=teacher is None)


def _distinct(documents: Iterable[Document], counts: Counter[str]) -> Iterator[Document]:
    """Yield the documents that have a text, each text once."""
    seen: set[str] = set()
    for document in documents:
        name = spelling(document.text)
        if not name or not document.text.strip():
            counts["no_text"] += 1
        elif name in seen:
            counts["repeated"] += 1
        else:
            seen.add(name)
            yield document


def _all(asked: dict[str, list[tuple[str, int, int]]]) -> Iterator[Asked]:
    """Yield the questions; the text that one was taken from is neither answer nor negative."""
    for rows in asked.values():
        pairs = dict.fromkeys((query, answer) for query, answer, _ in rows)
        yield Asked(tuple(pairs), frozenset(number for _, _, number in rows))


def told(counts: dict[str, Any]) -> list[str]:
    """Return lines of text on the questions."""
    made = [f"{counts[kind]} {COUNTED[kind]}" for kind in list(COUNTED)[:4] if kind in counts]
    others = [f"{counts[name]} {COUNTED[name]}" for name in list(COUNTED)[4:] if name in counts]
    return [f"questions made of documents: {', '.join(made)}", *others]
