"""The parts of a collection whose documents lie in shards: each asks all of them, and merges.

A retriever is the one that an index has, over parts that ask: what it does with a query is the same
code, and only where rows are looked up or scored do shards answer. So the answer is that of one
index of all documents, bit for bit: each shard gives its best by the same scores and the same rule
of order, and the best of all are among these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from glane.analysis.vocabulary import Vocabulary
from glane.collection.conditions import Condition
from glane.errors import StaleError
from glane.hits import Hits, check_k
from glane.maxsim.index import MaxSimIndex
from glane.model.encoder import Encoder
from glane.model.passages import Spans
from glane.postings.postings import Postings, weigh_as_it_is
from glane.postings.statistics import Statistics
from glane.postings.term_embeddings import TermEmbeddingIndex
from glane.retrievers.colbert import ColBERT
from glane.retrievers.collection import Collection
from glane.retrievers.lexical import Lexical
from glane.retrievers.neural import Neural
from glane.retrievers.passage_vectors import Placement
from glane.retrievers.passages import Passages
from glane.retrievers.sparse_embed import SparseEmbed
from glane.retrievers.splade import Splade
from glane.store.documents import Documents
from glane.store.names import Name, Names
from glane.store.segments import Segments
from glane.store.values import Values
from glane.types import Floats, Ids, Mask, Scores
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors
from glane_scale.exchange import United
from glane_scale.shard import PLACES, Contents, Generations, Reply, Request


class Shards(Protocol):
    """Where shards are, and how they are reached."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask each shard, all at once; the requests' `own` says which."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """One state of the collection, as its shards answer from it.

    Attributes:
        shards: Where they are.
        contents: What each holds.
        united: What is counted of terms in all of them; None where nothing is.
    """

    shards: Shards
    contents: Sequence[Contents]
    united: United | None

    @property
    def state(self) -> Generations:
        """The name of the state."""
        return tuple(each.generation for each in self.contents)

    @property
    def next_id(self) -> int:
        """Above all numbers of documents."""
        return max(each.next_id for each in self.contents)

    @property
    def n_documents(self) -> int:
        """How many documents there are."""
        return sum(each.n_documents for each in self.contents)

    def n_rows(self, place: str) -> int:
        """Return how many rows a stage's model has in all shards."""
        return sum(each.n_rows[place] for each in self.contents)

    def __call__(self, name: str, *arguments: Any) -> list[Any]:  # noqa: ANN401
        """Return what each shard answers.

        Raises:
            StaleError: If one of them is in another state by now.
        """
        state = self.state
        requests = [Request(state, own, name, arguments) for own in range(len(state))]
        replies = self.shards.ask(requests)
        lacking = [own for own, reply in enumerate(replies) if reply.lacking == "totals"]
        if lacking and self.united is not None:
            again = [requests[own]._replace(totals=self.united.each[own]) for own in lacking]
            for own, reply in zip(lacking, self.shards.ask(again), strict=True):
                replies[own] = reply
        if any(reply.lacking for reply in replies):
            raise StaleError("the documents are being changed; ask again")
        return [reply.value for reply in replies]

    def of_one(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Return what the shard answers that has the row.

        Raises:
            ValueError: If none has.
        """
        found = [value for value in self(name, *arguments) if value is not None]
        if not found:
            raise ValueError(f"unknown document {arguments[-1]}; it is not stored")
        return found[0]

    def best(self, k: int, name: str, *arguments: Any) -> Hits:  # noqa: ANN401
        """Return the k best rows of all shards for each query."""
        return merged(self(name, *arguments), k)

    def mask(self, name: str, *arguments: Any) -> Mask:  # noqa: ANN401
        """Return by number what each shard says of its own documents."""
        made = np.zeros(self.next_id, np.bool_)
        for packed, each in zip(self(name, *arguments), self.contents, strict=True):
            made[: each.next_id] |= np.unpackbits(packed, count=each.next_id).view(np.bool_)
        return made

    def laid(self, numbers: Ids, name: str, *arguments: Any) -> list[Any]:  # noqa: ANN401
        """Return what the shards say of some documents, in the order of their numbers.

        Raises:
            ValueError: If one is in no shard.
        """
        found: list[Any] = [None] * len(numbers)
        missing = np.ones(len(numbers), np.bool_)
        for here, values in self(name, *arguments, numbers):
            missing &= ~here
            for place, value in zip(np.flatnonzero(here).tolist(), values, strict=True):
                found[place] = value
        if missing.any():
            raise ValueError(f"unknown document {numbers[missing][0]}; it is not stored")
        return found


def merged(parts: Sequence[Hits], k: int) -> Hits:
    """Return the k best of several answers to the same queries, no row in two of them."""
    rows = []
    for query in range(len(parts[0])):
        ids, scores = zip(*(part.row(query) for part in parts), strict=True)
        rows.append((np.concatenate(ids), np.concatenate(scores)))
    return Hits.from_rows(rows, k)


class SpreadRows(Segments):
    """Rows that are not here."""

    def __init__(self, n_rows: int, next_id: int) -> None:
        """Tell how many there are, and above which number none is."""
        super().__init__(lambda parts: {})
        self.next_id = next_id
        self._n_rows = n_rows

    def __len__(self) -> int:
        return self._n_rows


class SpreadNames(Names):
    """The ids of all documents."""

    def __init__(self, ask: Asking) -> None:
        """Ask these shards."""
        self._ask = ask
        self.rows = SpreadRows(ask.n_documents, ask.next_id)

    def find(self, names: Sequence[Name]) -> Ids:
        """Return the number of each name, -1 where it is not stored."""
        found: Ids = np.max(self._ask("find", list(names)), axis=0)
        return found

    def names(self, numbers: Ids | Sequence[int]) -> list[Name]:
        """Return the names of stored numbers."""
        return self._ask.laid(np.asarray(numbers, np.int64), "names")


class SpreadDocuments(Documents):
    """The documents themselves."""

    def __init__(self, ask: Asking) -> None:
        """Ask these shards."""
        self._ask = ask
        self.rows = SpreadRows(ask.n_documents, ask.next_id)

    def get(self, ids: Ids) -> list[dict[str, Any]]:
        """Return stored documents, in the order of the numbers."""
        return self._ask.laid(ids, "documents")


class SpreadPostings(Postings):
    """Counts or weights of terms."""

    def __init__(self, ask: Asking, place: str, vocabulary: Vocabulary | None = None) -> None:
        """Ask these shards.

        Args:
            ask: The shards.
            place: Of the stage whose these are.
            vocabulary: Where its terms are words, their numbers; each shard has others.
        """
        super().__init__(weigh_as_it_is)
        self._ask, self._place, self._vocabulary = ask, place, vocabulary
        self.rows = SpreadRows(ask.n_rows(place), ask.next_id)

    def search(self, queries: SparseVectors, k: int, within: Mask | None = None) -> Hits:
        """Return the k best rows for each query."""
        k = check_k(k)
        terms = self._terms(queries.indices)
        return self._ask.best(k, "postings", self._place, terms, queries, k, within)

    def scores_with(self, queries: SparseVectors, number: int) -> list[float]:
        """Return each query's score with one row."""
        terms = self._terms(queries.indices)
        found: list[float] = self._ask.of_one("scores with", self._place, terms, queries, number)
        return found

    def holding(self, terms: Sequence[int]) -> Mask:
        """Return by number which documents hold each of some terms."""
        return self._ask.mask("holding", self._terms(np.array(terms)))

    def statistics(self) -> Statistics:
        """Return those of all documents."""
        return Statistics((), self._totals)

    def _terms(self, numbers: npt.NDArray[Any]) -> list[str] | None:
        return None if self._vocabulary is None else self._vocabulary.terms(numbers.tolist())


class SpreadTerms(TermEmbeddingIndex):
    """Weighted terms with a vector each."""

    def __init__(self, ask: Asking, place: str, dim: int, candidates: int) -> None:
        """Ask these shards."""
        super().__init__(dim)
        self._ask, self._place, self.candidates = ask, place, candidates

    def __len__(self) -> int:
        return self._ask.n_rows(self._place)

    def chosen(self, queries: TermEmbeddings, n: int, within: Mask | None = None) -> Hits:
        """Return the n candidates of each query."""
        return self._ask.best(n, "rows", self._place, "chosen", queries, n, within)

    def scorer(self) -> Callable[[TermEmbeddings, Ids], Scores]:
        """Return the function that scores one query with rows."""
        return scorer(self._ask, self._place)


class SpreadTokens(MaxSimIndex):
    """Token vectors."""

    def __init__(self, ask: Asking, place: str, own: MaxSimIndex) -> None:
        """Ask these shards, whose vectors are stored as those of an index."""
        super().__init__(own.dim, own.storage, own.threads)
        self._ask, self._place = ask, place

    def __len__(self) -> int:
        return self._ask.n_rows(self._place)

    def n_within(self, within: Mask | None) -> int:
        """Return how many rows may be hits."""
        return sum(self._ask("n within", self._place, within))

    def exact(self, queries: TokenVectors, k: int, within: Mask | None = None) -> Hits:
        """Return the k best rows, all of them scored."""
        return self._ask.best(k, "rows", self._place, "exact", queries, k, within)

    def leaders(self, queries: TokenVectors, n: int, within: Mask | None = None) -> Hits:
        """Return the n rows that the first level of outlines gives the highest scores."""
        return self._ask.best(n, "rows", self._place, "leaders", queries, n, within)

    def scorer(self, *, outlined: bool = False) -> Callable[[TokenVectors, Ids], Scores]:
        """Return the function that scores one query with rows."""
        return scorer(self._ask, self._place, outlined=outlined)

    def similarities(self, query: TokenVectors, number: int) -> Floats:
        """Return the products of one query's tokens with the stored vectors of a row."""
        found: Floats = self._ask.of_one("similarities", self._place, query, number)
        return found


def scorer(ask: Asking, place: str, **options: bool) -> Callable[[Any, Ids], Scores]:
    """Return the function that scores one query with rows, given in rising order."""

    def score(query: Any, keys: Ids) -> Scores:  # noqa: ANN401
        scores = np.zeros(len(keys), np.float32)
        for here, own in ask("scores", place, options, query, keys):
            scores[here] = own
        return scores

    return score


class SpreadPlacement(Placement):
    """Whose each passage is: that stands in how it is known."""

    def documents(self, passages: Ids) -> Ids:
        """Return whose each passage is."""
        return passages // PLACES


NOWHERE = SpreadPlacement(*(np.empty(0, np.int64) for _ in range(3)))


class SpreadPassages(Passages):
    """Documents in passages."""

    def __init__(self, stage: Neural[Any, Any], ask: Asking, place: str) -> None:
        """Ask these shards.

        Args:
            stage: Whose index asks them.
            ask: The shards.
            place: Of the stage.
        """
        super().__init__(stage)
        self._ask, self._place = ask, place
        self.rows = SpreadRows(ask.n_documents, ask.next_id)

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Any:  # noqa: ANN401 (one in passages, but not of this class)
        """Make an empty retriever of the same kind, which asks nobody; see `Passages`."""
        return Passages.from_record(record, model, threads)

    def placement(self) -> Placement:
        """Return which passages are whose."""
        return NOWHERE

    def passages_within(self, within: Mask) -> Mask:
        """Return which documents may be hits: shards find the passages."""
        return within

    def rerank(self, queries: Any, hits: Hits, k: int) -> Hits:  # noqa: ANN401
        """Order each query's hits anew."""
        k = check_k(k)
        return self._ask.best(k, "reranked", self._place, queries, hits, k)

    def spans(self, ids: Ids) -> list[Spans]:
        """Return where the passages of documents lie in their texts."""
        return self._ask.laid(ids, "spans", self._place)

    def best(self, queries: Any, ids: Ids) -> tuple[Ids, Ids]:  # noqa: ANN401
        """Return the best passage of each of some documents for one query."""
        places = np.array(self._ask.laid(ids, "best passages", self._place, queries), np.int64)
        return ids * PLACES + places, places


@dataclass(frozen=True, slots=True)
class SpreadCollection(Collection):
    """All that a search answers from, in shards.

    Attributes:
        ask: The shards; None is for none at all.
    """

    ask: Asking | None = None

    def within(self, condition: Condition) -> Mask:
        """Return by number which documents keep a condition."""
        if self.values is None:
            return Collection.within(self, condition)
        return self.asking().mask("within", condition)

    def stored(self) -> Ids:
        """Return the numbers of all documents, rising."""
        return np.sort(np.concatenate(self.asking()("stored")))

    def is_of(self, number: int, content: str) -> bool:
        """Return whether what was encoded of a stored document is this."""
        return any(self.asking()("is of", number, content))

    def asking(self) -> Asking:
        """Return the shards."""
        assert self.ask is not None, "`spread` gives it"
        return self.ask


def spread(own: Collection, ask: Asking) -> SpreadCollection:
    """Return a collection like one of a shard, of the documents of all.

    Args:
        own: Of a shard: its settings and models.
        ask: The shards.

    Raises:
        TypeError: If a stage is none of glane's own.
    """
    stages = {place: _spread_stage(stage, place, ask) for place, stage in own.stages().items()}
    return SpreadCollection(
        stages["retriever"],
        stages.get("reranker"),
        SpreadNames(ask),
        None if own.kept is None else SpreadDocuments(ask),
        None if own.values is None else Values(own.values.types),
        own.fusion,
        ask,
    )


def _spread_stage(stage: Any, place: str, ask: Asking) -> Any:  # noqa: ANN401
    if isinstance(stage, Lexical):
        assert ask.united is not None, "its shards count terms"
        postings = SpreadPostings(ask, place, ask.united.vocabulary)
        return stage.over(ask.united.vocabulary, postings.among(ask.united.whole))
    if isinstance(stage, Passages):
        return SpreadPassages(_spread_stage(stage.stage, place, ask), ask, place)
    made = copy(stage)
    if isinstance(stage, Splade):
        made.index = SpreadPostings(ask, place)
    elif isinstance(stage, SparseEmbed):
        made.index = SpreadTerms(ask, place, stage.index.dim, stage.index.candidates)
    elif isinstance(stage, ColBERT):
        made.index = SpreadTokens(ask, place, stage.index)
    else:
        raise TypeError(f"a {type(stage).__name__} cannot be spread over shards")
    return made
