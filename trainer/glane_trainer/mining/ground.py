"""What is mined: documents, and queries of which some answers are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from glane.collection.dataset import Dataset
from glane.collection.pairs import Pair
from glane.collection.spelling import spelling
from glane.types import Ids
from glane_trainer.hashing import sha256_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, in all its spellings.

    Attributes:
        pairs: Each spelling with the number of a document that answers it, at least one.
        barred: Numbers of documents that are the query itself.
    """

    pairs: tuple[tuple[str, int], ...]
    barred: frozenset[int] = frozenset()

    @property
    def query(self) -> str:
        """The spelling that is searched for."""
        return self.pairs[0][0]

    @property
    def answers(self) -> Ids:
        """Numbers of the documents that are known to answer it, rising."""
        return np.unique([number for _, number in self.pairs])


@dataclass(frozen=True)
class Ground:
    """Documents by their numbers, from 0, and queries.

    Attributes:
        names: Id of each document.
        texts: Its text.
        asked: Queries, no two of one spelling.
        counts: What was found amiss, by name.
    """

    names: Sequence[str]
    texts: Sequence[str]
    asked: Sequence[Asked]
    counts: dict[str, int] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Return the sha256, in hex, of all documents and queries in their order."""
        documents = zip(self.names, self.texts, strict=True)
        queries = ([asked.pairs, sorted(asked.barred)] for asked in self.asked)
        return sha256_of(documents, queries).hexdigest()

    def spelled(self, number: int) -> str:
        """Return what equal texts have in common, however they are spelled."""
        found = self._spelled.get(number)
        if found is None:
            found = self._spelled[number] = spelling(self.texts[number])
        return found

    @cached_property
    def _spelled(self) -> dict[int, str]:
        return {}


def ground_of_collection(dataset: Dataset) -> Ground:
    """Return a collection, with the queries of which it has a document that is judged relevant."""
    numbers = {id: number for number, id in enumerate(dataset.corpus)}
    pairs = (
        (dataset.queries[query], numbers[id])
        for query, grades in dataset.judgements.items()
        for id, grade in grades.items()
        if grade > 0 and id in numbers
    )
    own = {
        spelling(text): numbers[id]
        for id, text in dataset.queries.items()
        if id in numbers and dataset.is_query(id)
    }
    counts = {
        "unknown_documents": dataset.n_unknown_documents,
        "unknown_queries": dataset.n_unknown_queries,
        "contradicting": dataset.n_contradicting,
    }
    return Ground(list(numbers), list(dataset.corpus.values()), _asked(pairs, own), counts)


def ground_of_pairs(pairs: Iterable[Pair], documents: Iterable[tuple[str, str]] = ()) -> Ground:
    """Return pairs of query and answer; their texts are documents, each once.

    Args:
        pairs: With or without negatives, which are documents as well.
        documents: Id and text of further documents; where a pair has the text of one, it is that.
    """
    names: list[str] = []
    texts: list[str] = []
    number_of: dict[str, int] = {}
    for name, text in documents:
        number_of.setdefault(text, len(texts))
        names.append(name)
        texts.append(text)
    taken = set(names)

    def number(text: str) -> int:
        found = number_of.setdefault(text, len(texts))
        if found == len(texts):
            name = f"text {found}"
            names.append(name if name not in taken else f"{name} of the pairs")
            texts.append(text)
        return found

    found = []
    for pair in pairs:
        found += [(pair.anchor, number(text)) for text in pair.positives]
        for text in pair.negatives:
            number(text)
    return Ground(names, texts, _asked(found))


def _asked(pairs: Iterable[tuple[str, int]], own: dict[str, int] | None = None) -> list[Asked]:
    """Return the queries of some pairs in the order in which they come first, each pair once."""
    groups: dict[str, dict[tuple[str, int], None]] = {}
    for pair in pairs:
        groups.setdefault(spelling(pair[0]), {})[pair] = None
    own = own or {}
    return [
        Asked(tuple(group), frozenset({own[key]} if key in own else ()))
        for key, group in groups.items()
    ]
