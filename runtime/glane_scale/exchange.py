"""What the shards of a collection tell one another of their terms, so that all weigh alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from glane.analysis.vocabulary import Vocabulary
from glane.postings.statistics import Totals
from glane.retrievers.lexical import Lexical
from glane.types import Ids


@dataclass(frozen=True, slots=True)
class Counted:
    """What a shard counts.

    Attributes:
        terms: That its documents have, or had, by their numbers there.
        frequencies: int64, how many of its documents hold each.
        n_documents: That it holds, empty ones included.
        length: Sum of their lengths.
    """

    terms: list[str]
    frequencies: Ids
    n_documents: int
    length: Fraction


class United(NamedTuple):
    """What is counted in all shards together.

    Attributes:
        vocabulary: Each term once.
        whole: By the numbers of that vocabulary.
        each: The same, by the numbers of each shard's own.
    """

    vocabulary: Vocabulary
    whole: Totals
    each: list[Totals]


def count(retriever: Lexical) -> Counted:
    """Return what a retriever counts of its own documents."""
    statistics = retriever.postings.statistics()
    held = statistics.frequencies
    terms = retriever.terms()  # afterwards: a vocabulary only grows
    frequencies = np.zeros(len(terms), np.int64)
    frequencies[: len(held)] = held
    return Counted(terms, frequencies, statistics.n_documents, statistics.length)


def unite(parts: Sequence[Counted]) -> United:
    """Return what several shards count together: sums of integers, exact in any order."""
    vocabulary = Vocabulary()
    numbers = [np.array(vocabulary.enter_all(part.terms), np.int64) for part in parts]
    frequencies = np.zeros(len(vocabulary), np.int64)
    for part, own in zip(parts, numbers, strict=True):
        frequencies[own] += part.frequencies
    n_documents = sum(part.n_documents for part in parts)
    whole = Totals(n_documents, sum((part.length for part in parts), Fraction(0)), frequencies)
    each = [replace(whole, frequencies=frequencies[own]) for own in numbers]
    return United(vocabulary, whole, each)
