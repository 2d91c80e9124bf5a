"""What BM25 and TfIdf share: a vocabulary, counts of terms, and how they are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.analysis.counting import TermCounter
from glane.analysis.fingerprint import check_noted, noted
from glane.analysis.locating import locate
from glane.analysis.vocabulary import Vocabulary
from glane.errors import CheckpointError
from glane.hits import Hits, check_k
from glane.model.encoder import Encoder
from glane.model.preparation import check_texts
from glane.postings.inverted import check_terms
from glane.postings.postings import Postings, Weighting
from glane.postings.statistics import Derive, Totals, derive_nothing
from glane.retrievers.shares import (
    Match,
    Matches,
    by_term,
    matched_text,
    single_terms,
)
from glane.store.reading import open_state
from glane.store.segments import Segments
from glane.store.stage import load_tables, record_of, save_retriever
from glane.threads import Guard
from glane.types import Floats, Ids, Mask
from glane.vectors import SparseVectors, check_type

MOST_COUNT = 2.0**31
"""Largest count of a term in a text."""


class Lexical(ABC):
    """A retriever over counts of terms; a subclass says how they weigh.

    Attributes:
        analyzer: How texts become terms.
    """

    kind: ClassVar[str]

    encoder = None

    def __init__(
        self, analyzer: Analyzer, weighting: Weighting, derive: Derive = derive_nothing
    ) -> None:
        """Make an empty retriever.

        Args:
            analyzer: How texts become terms.
            weighting: How counts weigh. It may not hold the retriever: what is in a cycle keeps
                its files open until the garbage collector comes by.
            derive: Gives what is stored besides of each segment of documents, made of its counts.
        """
        self.analyzer = analyzer
        self._vocabulary = Vocabulary()
        self._vocabulary_lock = Guard()
        self._counter = TermCounter(analyzer, self._vocabulary)
        self._postings = Postings(weighting, most=MOST_COUNT, derive=derive)

    def __len__(self) -> int:
        return len(self._postings)

    def __repr__(self) -> str:
        given = {**self.settings(), "analyzer": self.analyzer}
        shown = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({len(self)} documents{shown})"

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the arguments, besides the analyzer, that make an equal retriever."""

    def encode_documents(self, documents: Sequence[str]) -> SparseVectors:
        """Count the terms of documents; new terms enter the vocabulary.

        Args:
            documents: Any strings; one without terms is stored, counts, and is never a hit.

        Returns:
            Counts, shape (n_documents, n_terms), terms in order of first appearance.

        Raises:
            TypeError: If `documents` is one string, or holds something else than strings.
        """
        texts = check_texts(documents, "documents")
        with self._vocabulary_lock:
            if self._counter.vocabulary is not self._vocabulary:
                self._counter = TermCounter(self.analyzer, self._vocabulary)
            return self._counter.count(texts)

    def encode_queries(self, queries: Sequence[str]) -> SparseVectors:
        """Count the terms of queries; terms that no document has had are left out.

        Args:
            queries: Any strings; one without known terms has no hits.

        Returns:
            Counts, shape (n_queries, n_terms), terms in order of first appearance.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        texts = check_texts(queries, "queries")
        rows = (self._read(self.analyzer.readings(text)) for text in texts)
        return _count([known for known in row if known >= 0] for row in rows)

    def _read(self, readings: list[list[str]]) -> list[int]:
        """Return the numbers of a query's terms, in the first of the languages that it may be of.

        A reading of which more terms are held by some document goes before it.
        """
        rows = [self.numbers(terms) for terms in readings]
        return rows[0] if len(rows) == 1 else max(rows, key=self._share_held)

    def _share_held(self, numbers: list[int]) -> int:
        """Return how many of a reading's terms no document holds, below 0."""
        known = np.array([number for number in numbers if number >= 0], np.int64)
        held = self._postings.statistics().holding(known)
        return int((held > 0).sum()) - len(numbers)

    def add(self, vectors: SparseVectors) -> Ids:
        """Store documents.

        Args:
            vectors: From `encode_documents` of this retriever.

        Returns:
            Their numbers, int64, in order of writing; a number is never given twice.

        Raises:
            TypeError: If `vectors` are not `SparseVectors`.
            ValueError: If they have another vocabulary, a term appears twice in a row, or a count
                is not above 0 and finite.
        """
        self._check_vocabulary(vectors, "vectors")
        return self._postings.add(vectors)

    def delete(self, ids: Ids) -> None:
        """Forget documents; the others then score as if these had never been added.

        Raises:
            ValueError: If a number is not stored or appears twice; then nothing is deleted.
        """
        self._postings.delete(ids)

    def compact(self) -> None:
        """Drop what is left of deleted documents; numbers and scores stay.

        Terms that no document holds any more are forgotten, and the others numbered anew: counts
        that were encoded before have another vocabulary.
        """
        with self._vocabulary_lock:
            self._vocabulary.flush()
            used = np.flatnonzero(self._postings.statistics().frequencies)
            if len(used) < len(self._vocabulary):
                postings = self._postings.snapshot()
                postings.renumber(used)
                self._postings, self._vocabulary = postings, self._vocabulary.only(used)
            else:
                self._vocabulary.names.rows.compact()
        self._postings.rows.compact()

    def snapshot(self) -> Self:
        """Return an equal retriever; changes of one leave the other alone, and nothing is copied.

        Both grow one vocabulary: terms are numbered in it until `compact` makes a new one.
        """
        return self.over(self._vocabulary, self._postings.snapshot())

    def over(self, vocabulary: Vocabulary, postings: Postings) -> Self:
        """Return an equal retriever of other documents.

        Args:
            vocabulary: Of their terms.
            postings: Their counts.
        """
        made = copy(self)
        made._vocabulary, made._postings = vocabulary, postings
        return made

    @property
    def postings(self) -> Postings:
        """The counts that are stored."""
        return self._postings

    def numbers(self, terms: Sequence[str]) -> list[int]:
        """Return the numbers of terms, -1 where no document has had one."""
        return [self._vocabulary.number(term) for term in terms]

    def terms(self) -> list[str]:
        """Return the terms that documents have, or had, by their numbers."""
        with self._vocabulary_lock:
            return self._vocabulary.terms(list(range(len(self._vocabulary))))

    def among(self, totals: Totals) -> Self:
        """Return an equal retriever that weighs as part of a larger collection.

        Args:
            totals: Of the collection, for each of `terms`.
        """
        return self.over(self._vocabulary, self._postings.among(totals))

    def search(self, queries: SparseVectors, k: int, within: Mask | None = None) -> Hits:
        """Return the k best documents for each query.

        Args:
            queries: From `encode_queries`, shape (n_queries, n_terms).
            k: Documents wanted per query, at least 1; fewer may share a term with the query.
            within: By number, which documents may be hits; None for all. Terms weigh as they do
                among all documents.

        Returns:
            Ids (int64) and scores (float32), shape (n_queries, k), best first; equal scores by
            lower id. A row with fewer than k hits ends in id -1 and score -inf.

        Raises:
            TypeError: If k is not an integer, or `queries` are not `SparseVectors`.
            ValueError: If k is below 1, or `queries` has another vocabulary or is broken.
        """
        check_k(k)
        self._check_vocabulary(queries, "queries")
        return self._postings.search(self.weigh_queries(queries), k, within)

    def weigh_queries(self, queries: SparseVectors) -> SparseVectors:
        """Return what the terms of queries weigh: with `weights`, their products are the scores.

        Args:
            queries: From `encode_queries`.
        """
        return queries  # `Postings.search` checks them

    def weights(self, ids: Ids) -> SparseVectors:
        """Return what the terms of stored documents weigh, as a search weighs them, bit for bit.

        Args:
            ids: Numbers of stored documents, in any order, which is kept.

        Raises:
            ValueError: If a number is not stored.
        """
        counts = self._postings.stored(ids)
        return replace(counts, values=self._weigh_rows(counts).astype(np.float32))

    def holding(self, terms: Sequence[str]) -> Mask:
        """Return by number which documents hold each of some terms, at least one."""
        numbers = self.numbers(terms)
        if min(numbers) < 0:
            return np.zeros(self._postings.rows.next_id, np.bool_)
        return self._postings.holding(numbers)

    def explain(self, query: str, number: int, text: str | None) -> Matches:
        """Return what the score of a query with a stored document is made of, a term each.

        See `Explaining.explain`.
        """
        asked = self.weigh_queries(self.encode_queries([query]))
        (score,) = self._postings.scores_with(asked, number)
        shares = self._postings.scores_with(single_terms(asked), number)
        in_query = by_term(locate(self.analyzer, query))
        in_text = {} if text is None else by_term(locate(self.analyzer, text))
        matches = [
            Match(
                term,
                share,
                in_query.get(term, [None])[0],
                matched_text(text, in_text.get(term, [])),
                in_text.get(term, []),
            )
            for term, share in zip(
                self._vocabulary.terms(asked.indices.tolist()), shares, strict=True
            )
            if share
        ]
        return Matches(score, matches)

    def decode(self, vectors: SparseVectors) -> list[dict[str, float]]:
        """Return the terms and values of each row of vectors."""
        self._check_vocabulary(vectors, "vectors")
        check_terms(vectors, "vectors", MOST_COUNT)
        terms = iter(self._vocabulary.terms(vectors.indices.tolist()))
        return vectors.to_dicts(lambda number: next(terms))

    def record(self) -> dict[str, Any]:
        """Return what makes an equal, empty retriever, and what its terms were made by, as JSON."""
        return {
            "kind": self.kind,
            "settings": self.settings(),
            "analyzer": asdict(self.analyzer),
            "analysis": noted(self.analyzer),
        }

    def tables(self) -> dict[str, Segments]:
        """Return what is stored: the counts, and the vocabulary's terms."""
        with self._vocabulary_lock:
            self._vocabulary.flush()
        return {"": self._postings.rows, "terms": self._vocabulary.names.rows}

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        model: str | Path | Encoder | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make the empty retriever that `record` told of.

        Args:
            record: From `record`.
            model: None: words need no model.
            threads: Not used.

        Raises:
            CheckpointError: If a model is given, or another stemmer or Unicode made the terms.
        """
        if model is not None:
            raise CheckpointError(f"a {cls.kind} takes no model, got {str(model)!r}")
        analyzer = Analyzer(**{"rules": 1, **record["analyzer"]})
        check_noted(record.get("analysis"), analyzer)
        return cls(**record["settings"], analyzer=analyzer)

    def save(self, folder: str | Path) -> None:
        """Write settings, vocabulary and counts into a folder; what is new, where it is known.

        Args:
            folder: New, empty, or an index, which is replaced.

        Raises:
            FileExistsError: If the folder holds something else.
        """
        save_retriever(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote; counts are mapped, not read.

        Raises:
            ValueError: If the folder is missing, damaged, or of another kind or version.
        """
        state = open_state(folder)
        made = cls.from_record(record_of(state, "retriever", cls.kind))
        load_tables(made, state, "retriever")
        return made

    @abstractmethod
    def _weigh_rows(self, counts: SparseVectors) -> Floats:
        """Return what each count of some documents weighs, a number for each of its entries."""

    def _check_vocabulary(self, vectors: SparseVectors, name: str) -> None:
        check_type(vectors, SparseVectors, name)
        highest = int(vectors.indices.max(initial=-1))
        if highest >= len(self._vocabulary):
            raise ValueError(
                f"{name} must be of this retriever's vocabulary of {len(self._vocabulary)} terms, "
                f"got term {highest}; encode them with the retriever that searches"
            )


def _count(rows: Iterable[Iterable[int]]) -> SparseVectors:
    """Return how often each number stands in each row, in order of first appearance."""
    lengths, indices, values = [0], [], []
    for row in rows:
        counts = Counter(row)
        lengths.append(len(counts))
        indices.append(np.fromiter(counts.keys(), np.int32, len(counts)))
        values.append(np.fromiter(counts.values(), np.float32, len(counts)))
    return SparseVectors(
        np.cumsum(lengths, dtype=np.int64),
        np.concatenate([np.empty(0, np.int32), *indices]),
        np.concatenate([np.empty(0, np.float32), *values]),
    )
