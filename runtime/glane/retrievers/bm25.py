"""BM25 in five variants, over counts: documents come and go and no weight is ever stale."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from glane.analysis.analyzer import Analyzer
from glane.errors import check_choice
from glane.postings.postings import Statistics, Weigh
from glane.postings.statistics import row_sums
from glane.retrievers.lexical import Lexical
from glane.types import Floats, Ids, Scores
from glane.vectors import SparseVectors

Variant = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]


@dataclass(frozen=True, slots=True)
class Formula:
    """A variant and its settings, as `BM25` says them; alone, so that an index can hold it.

    Raises:
        ValueError: If a setting is out of range.
    """

    variant: Variant
    k1: float
    b: float
    delta: float

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, get_args(Variant))
        for name, high in (("k1", math.inf), ("b", 1), ("delta", math.inf)):
            value = getattr(self, name)
            if not (0 <= value <= high and math.isfinite(value)):
                limit = "at least 0" if high == math.inf else "in [0, 1]"
                raise ValueError(f"{name} must be {limit}, got {value!r}")

    def weighting(self, statistics: Statistics) -> Weigh:
        """Return the function that weighs a term's counts in this collection."""
        norms = self._norms(statistics.lengths, statistics)

        def weigh(term: int, rows: Ids, counts: Scores) -> Floats:
            frequency = statistics.frequency(term, len(rows))
            idf = self._idf(frequency, statistics.n_documents)
            return idf * self._saturated(counts.astype(np.float64), norms[rows])

        return weigh

    def weigh_rows(self, statistics: Statistics, counts: SparseVectors) -> Floats:
        """Return what each count of some documents weighs in this collection, as `weighting` does.

        Args:
            statistics: Of the collection.
            counts: Of stored documents.
        """
        frequencies, places = np.unique(statistics.frequencies[counts.indices], return_inverse=True)
        idf = np.array([self._idf(each, statistics.n_documents) for each in frequencies.tolist()])
        norms = np.repeat(self._norms(row_sums(counts), statistics), np.diff(counts.indptr))
        return idf[places] * self._saturated(counts.values.astype(np.float64), norms)

    def _norms(self, lengths: Floats, statistics: Statistics) -> Floats:
        """Return K / k1 of documents, by their lengths."""
        norms: Floats = 1 - self.b + self.b * (lengths / (statistics.mean_length or 1.0))
        return norms

    def _idf(self, frequency: int, n_documents: int) -> float:
        odds = (n_documents - frequency + 0.5) / (frequency + 0.5)
        match self.variant:
            case "lucene":
                return math.log1p(odds)
            case "robertson":
                return math.log(max(odds, 1.0))
            case "atire":
                return math.log(n_documents / frequency)
            case "bm25l":
                return math.log((n_documents + 1) / (frequency + 0.5))
            case _:
                return math.log((n_documents + 1) / frequency)

    def _saturated(self, counts: Floats, norms: Floats) -> Floats:
        """Return tf of each posting from its count and its document's K / k1."""
        k1 = self.k1
        if self.variant == "bm25l":
            raised = counts / norms + self.delta
            return (k1 + 1) * raised / (k1 + raised)
        tf: Floats = counts / (counts + k1 * norms)
        if self.variant in ("lucene", "robertson"):
            return tf
        return (k1 + 1) * tf + (self.delta if self.variant == "bm25+" else 0.0)


class BM25(Lexical):
    """Finds documents by the words they share with a query.

    The sum, over terms that query and document share, of the term's count in the query times
    idf · tf, after Kamphuis, de Vries, Boytsov and Lin, "Which BM25 do you mean?", ECIR 2020. With
    N documents, df of which hold the term, its count c in a document of length L, mean length A,
    and K = k1 · (1 - b + b · L / A):

    | variant | idf | tf |
    |---|---|---|
    | lucene | ln(1 + (N - df + 0.5) / (df + 0.5)) | c / (c + K) |
    | robertson | ln((N - df + 0.5) / (df + 0.5)), at least 0 | c / (c + K) |
    | atire | ln(N / df) | c · (k1 + 1) / (c + K) |
    | bm25l | ln((N + 1) / (df + 0.5)) | (k1 + 1) · (d + delta) / (k1 + d + delta), d = c · k1 / K |
    | bm25+ | ln((N + 1) / df) | c · (k1 + 1) / (c + K) + delta |

    Deviations: lengths are exact, not in one byte as Lucene's; Robertson's idf is never negative,
    as in bm25s, so that sharing a word never counts against a document. Only shared terms add, as
    in Lv and Zhai, CIKM 2011 and SIGIR 2011; bm25s gives for bm25l and bm25+ every document the
    delta of every term of the query, which adds one constant to all scores of a query.

    >>> bm25 = BM25()
    >>> bm25.add(bm25.encode_documents(["green tea", "black tea, green tea", "coffee"]))
    array([0, 1, 2])
    >>> bm25.search(bm25.encode_queries(["black tea"]), k=2).to_lists()
    [[{'id': 1, 'score': 0.51...}, {'id': 0, 'score': 0.20...}]]
    """

    kind = "bm25"

    def __init__(
        self,
        variant: Variant = "lucene",
        k1: float = 1.5,
        b: float = 0.75,
        delta: float = 0.5,
        analyzer: Analyzer = Analyzer(),  # noqa: B008 (frozen)
    ) -> None:
        """Make an empty retriever.

        Args:
            variant: Which row of the table.
            k1: How slowly further occurrences of a term saturate, at least 0.
            b: How much a document's length counts, in [0, 1].
            delta: Least that a shared term adds in bm25l and bm25+, at least 0.
            analyzer: How texts become terms; by default English words, stemmed.

        Raises:
            ValueError: If a setting is out of range.
        """
        self.formula = Formula(variant, k1, b, delta)
        super().__init__(analyzer, self.formula.weighting)

    def settings(self) -> dict[str, Any]:
        """Return the arguments, besides the analyzer, that make an equal retriever."""
        return asdict(self.formula)

    def _weigh_rows(self, counts: SparseVectors) -> Floats:
        return self.formula.weigh_rows(self._postings.statistics(), counts)

    def weighed(self, k1: float | None = None, b: float | None = None) -> Self:
        """Return an equal retriever that weighs by other settings; counts stay as they are.

        Args:
            k1: As in `BM25`; None leaves it.
            b: Likewise.

        Raises:
            ValueError: If a setting is out of range.
        """
        made = self.snapshot()
        k1, b = self.formula.k1 if k1 is None else k1, self.formula.b if b is None else b
        made.formula = replace(self.formula, k1=k1, b=b)
        made._postings.weigh_by(made.formula.weighting)
        return made
