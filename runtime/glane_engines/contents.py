"""What an index holds of each document, as an engine can hold it too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from glane.hits import Key
from glane.integrations.pushed import Pushed
from glane.maxsim.quantization import TokenCodes
from glane.retrievers.contract import Retriever
from glane.retrievers.passages import Passages
from glane.retrievers.splade import Splade
from glane.store.segments import ids_left
from glane.types import Ids
from glane.vectors import SparseVectors

AT_ONCE = 64
"""Documents that are looked up at once."""


class Entry(NamedTuple):
    """A document, by its number and id, and how many passages it has in the stage that has most."""

    number: int
    key: Key
    n_points: int


class Content(NamedTuple):
    """What is stored of a document.

    Attributes:
        fields: As it was kept; its key alone where documents are not kept.
        terms: Of each passage that the retriever knows, one row; of BM25 and TfIdf there is one
            for the whole document. Weights, such that their products with those of a query are
            the scores.
        tokens: Of each passage that the reranker knows, one row, as it is stored.
    """

    fields: dict[str, Any]
    terms: SparseVectors
    tokens: list[TokenCodes]


def entries(pushed: Pushed) -> Iterator[list[Entry]]:
    """Yield all documents in order of their numbers, some at once.

    Args:
        pushed: The index.
    """
    search = pushed.search
    numbers = ids_left(search.keys.rows.parts)
    counts = np.ones(len(numbers), np.int64)
    for stage in search.stages().values():
        if isinstance(stage, Passages):
            np.maximum(counts, stage.placement().counts, out=counts)
    for start in range(0, len(numbers), AT_ONCE):
        own = numbers[start : start + AT_ONCE]
        keys = search.keys.names(own)
        n_points = counts[start : start + AT_ONCE]
        yield [Entry(*each) for each in zip(own.tolist(), keys, n_points.tolist(), strict=True)]


def n_points(pushed: Pushed) -> int:
    """Return how many points an engine holds of an index."""
    return sum(entry.n_points for some in entries(pushed) for entry in some)


def check_ids(pushed: Pushed) -> type[str] | type[int]:
    """Return whether the ids are text or numbers; refuse those of both kinds.

    Args:
        pushed: The index; without documents its ids are text.

    Raises:
        ValueError: If some are numbers and some are text.
    """
    kinds = {type(entry.key) for some in entries(pushed) for entry in some}
    if len(kinds) > 1:
        raise ValueError(
            "some ids are numbers and some are text, which are the same here; make them text"
        )
    return int if kinds == {int} else str


def content(pushed: Pushed, entry: Entry) -> Content:
    """Return what is stored of a document.

    Args:
        pushed: The index.
        entry: Which.
    """
    search = pushed.search
    numbers = np.array([entry.number])
    fields: dict[str, Any] = {}
    if search.kept is not None:
        (fields,) = search.kept.get(numbers)
    first = _passages(search.retriever, numbers)
    if isinstance(pushed.retriever, Splade):
        terms = pushed.retriever.index.stored(first)
    else:
        terms = pushed.retriever.weights(first)
    tokens: list[TokenCodes] = []
    if pushed.reranker is not None and search.reranker is not None:
        own = _passages(search.reranker, numbers).tolist()
        tokens = [pushed.reranker.index.stored(number) for number in own]
    return Content({**fields, search.key: entry.key}, terms, tokens)


def _passages(stage: Retriever, numbers: Ids) -> Ids:
    return stage.placement().passages(numbers) if isinstance(stage, Passages) else numbers
