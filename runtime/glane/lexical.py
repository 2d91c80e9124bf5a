"""What BM25 and TfIdf share: a vocabulary, counts of terms, and their files."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from glane.analysis import CACHED_LENGTH, Analyzer
from glane.folders import new_folder
from glane.hits import Hits, check_k
from glane.postings import Postings, Statistics, Weigh
from glane.text import check_texts
from glane.types import Ids
from glane.vectors import SparseVectors

FORMAT_VERSION = 1
FILE_NAME = "lexical.json"


class Lexical(ABC):
    """A retriever over counts of terms; a subclass says how counts weigh.

    Attributes:
        analyzer: How texts become terms.
    """

    kind: ClassVar[str]

    def __init__(self, analyzer: Analyzer) -> None:
        """Make an empty retriever."""
        self.analyzer = analyzer
        self._vocabulary = _Vocabulary()
        self._vocabulary_lock = threading.Lock()
        self._postings = Postings(self._weighting)

    def __len__(self) -> int:
        return len(self._postings)

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the arguments, besides the analyzer, that make an equal retriever."""

    @abstractmethod
    def _weighting(self, statistics: Statistics) -> Weigh:
        """Return the function that weighs a term's counts in this collection."""

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
        numbers = _TermNumbers(self.analyzer, self._vocabulary)
        with self._vocabulary_lock:
            # Words of one document, then the next: what is held at once is one document's.
            return _count(
                chain.from_iterable([numbers[word] for word in self.analyzer.words(text)])
                for text in texts
            )

    def encode_queries(self, queries: Sequence[str]) -> SparseVectors:
        """Count the terms of queries; terms that no document has had are left out.

        Args:
            queries: Any strings; one without known terms has no hits.

        Returns:
            Counts, shape (n_queries, n_terms), terms in order of first appearance.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
        """
        known = self._vocabulary
        texts = check_texts(queries, "queries")
        return _count([known[t] for t in self.analyzer(text) if t in known] for text in texts)

    def add(self, vectors: SparseVectors) -> Ids:
        """Store documents.

        Args:
            vectors: From `encode_documents` of this retriever.

        Returns:
            Their numbers, int64, in order of writing; a number is never given twice.

        Raises:
            ValueError: If the vectors have another vocabulary.
        """
        self._check_vocabulary(vectors, "vectors")
        return self._postings.add(vectors)

    def delete(self, ids: Ids) -> None:
        """Forget documents; the others then score as if these had never been added.

        Raises:
            ValueError: If a number is not stored or stands twice; then nothing is deleted.
        """
        self._postings.delete(ids)

    def search(self, queries: SparseVectors, k: int) -> Hits:
        """Return the k best documents for each query.

        Args:
            queries: From `encode_queries`, shape (n_queries, n_terms).
            k: Documents wanted per query, at least 1; fewer may share a term with the query.

        Returns:
            Ids (int64) and scores (float32), shape (n_queries, k), best first; equal scores by
            lower id. A row with fewer than k hits ends in id -1 and score -inf.

        Raises:
            ValueError: If k is below 1, or `queries` has another vocabulary.
        """
        check_k(k)
        self._check_vocabulary(queries, "queries")
        return self._postings.search(self._weigh_queries(queries), k)

    def decode(self, vectors: SparseVectors) -> list[dict[str, float]]:
        """Return the terms and values of each row of vectors."""
        self._check_vocabulary(vectors, "vectors")
        return vectors.to_dicts(self._vocabulary.terms.__getitem__)

    def save(self, folder: str | Path) -> None:
        """Write settings, vocabulary and counts into a folder that appears whole or not at all.

        Args:
            folder: New, empty, or one that this wrote before.

        Raises:
            FileExistsError: If the folder holds something else.
        """
        folder = Path(folder)
        ours = folder.is_dir() and ((folder / FILE_NAME).is_file() or not any(folder.iterdir()))
        with self._vocabulary_lock, new_folder(folder, overwrite=ours) as new:
            ids, counts = self._postings.remaining()
            counts.save(new / "counts")
            np.save(new / "ids.npy", ids, allow_pickle=False)
            record = {
                "format_version": FORMAT_VERSION,
                "kind": self.kind,
                "settings": self.settings(),
                "analyzer": asdict(self.analyzer),
                "next_id": self._postings.next_id,
                "vocabulary": self._vocabulary.terms,
            }
            text = json.dumps(record, ensure_ascii=False, indent=1)
            (new / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what `save` wrote; counts are mapped, not read.

        Raises:
            ValueError: If the folder is missing, damaged, or of another kind or version.
        """
        folder = Path(folder)
        record = _read(folder / FILE_NAME, cls.kind)
        try:
            made = cls(**record["settings"], analyzer=Analyzer(**record["analyzer"]))
            made._vocabulary = _Vocabulary(record["vocabulary"])
            ids = np.load(folder / "ids.npy", allow_pickle=False)
            counts = SparseVectors.load(folder / "counts")
            check_arrays(ids, counts, len(made._vocabulary), record["next_id"])
        except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
            raise ValueError(f"{str(folder)!r} is damaged: {error!r}") from None
        made._postings.restore(ids, counts, record["next_id"])
        return made

    def _weigh_queries(self, queries: SparseVectors) -> SparseVectors:
        return queries

    def _check_vocabulary(self, vectors: SparseVectors, name: str) -> None:
        highest = int(vectors.indices.max(initial=-1))
        if highest >= len(self._vocabulary):
            raise ValueError(
                f"{name} must be of this retriever's vocabulary of {len(self._vocabulary)} terms, "
                f"got term {highest}; encode them with the retriever that searches"
            )


class _Vocabulary(dict[str, int]):
    """Numbers by term; indexing with a new term numbers it."""

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self.terms = list(terms)
        super().__init__((term, number) for number, term in enumerate(self.terms))

    def __missing__(self, term: str) -> int:
        number = len(self.terms)
        self.terms.append(term)  # first: who finds the number also finds the term
        self[term] = number
        return number


class _TermNumbers(dict[str, list[int]]):
    """Term numbers by word, for one batch of documents."""

    def __init__(self, analyzer: Analyzer, vocabulary: _Vocabulary) -> None:
        super().__init__()
        self.analyzer = analyzer
        self.vocabulary = vocabulary

    def __missing__(self, word: str) -> list[int]:
        numbers = list(map(self.vocabulary.__getitem__, self.analyzer.terms(word)))
        if len(word) <= CACHED_LENGTH:
            self[word] = numbers
        return numbers


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


def _read(path: Path, kind: str) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"{str(path.parent)!r} has no {path.name}") from None
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("kind") != kind:
        found = record.get("kind") if isinstance(record, dict) else type(record).__name__
        raise ValueError(f"{str(path)!r} must hold {kind!r}, got {found!r}")
    if record.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{str(path)!r} has format_version {record.get('format_version')!r}; "
            f"this version of glane reads {FORMAT_VERSION}. Upgrade glane, or index again."
        )
    return record


def check_arrays(ids: Ids, counts: SparseVectors, n_terms: int, next_id: int) -> None:
    """Refuse arrays that do not belong together; a search would answer wrongly or crash."""
    indptr, indices, values = counts.indptr, counts.indices, counts.values
    kinds = [array.dtype for array in (ids, indptr, indices, values)]
    if kinds != [np.int64, np.int64, np.int32, np.float32]:
        raise ValueError(f"types of the arrays are {[str(kind) for kind in kinds]}")
    if any(array.ndim != 1 for array in (ids, indptr, indices, values)):
        raise ValueError("an array is not one-dimensional")
    bounds = [len(indptr) == len(ids) + 1, len(indices) == len(values)]
    bounds += [indptr[0] == 0 and indptr[-1] == len(indices) and bool((np.diff(indptr) >= 0).all())]
    bounds += [bool((np.diff(ids, prepend=-1) > 0).all()), int(ids.max(initial=-1)) < next_id]
    bounds += [int(indices.min(initial=0)) >= 0, int(indices.max(initial=-1)) < n_terms]
    bounds += [bool((np.isfinite(values) & (values > 0)).all())]
    if not all(bounds):
        raise ValueError("the arrays do not fit together")
