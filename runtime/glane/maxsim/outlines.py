"""What a document is about in few vectors, from which a search over all picks its candidates.

Nothing is learned from the collection: a document's outlines depend on its own tokens alone, so
that additions never make them stale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glane.maxsim.pooling import Clusters, clusters, each_text, normalised, ward
from glane.maxsim.quantization import CodedVectors, encode_int8
from glane.ragged import join_lengths
from glane.types import Floats, Mask, Scores
from glane.vectors import TokenVectors

SPREAD = 0.05
"""How much nearer than a cluster's mean its nearest token is, by spread and size of the cluster.

Chosen on scifact's train queries, where it is worth as much as half as many clusters again.
"""


class Level(NamedTuple):
    """Outlines of one fineness, and the queries that they are scored with.

    Attributes:
        n_vectors: Of a document at most, where not 0.
        factor: Tokens of a document for one vector, where `n_vectors` is 0.
        query_factor: Tokens of a query for one vector.
    """

    n_vectors: int
    factor: int
    query_factor: int


LEVELS = (Level(16, 0, 4), Level(0, 4, 2))
"""All documents are scored by the first, those that are left by the second."""

SHARE = 6
"""One document in so many is left by the first level, ..."""

LEAST = 10
"""... but this many for each document wanted."""

FEWEST = 100
"""Documents that count as wanted where fewer are."""

MARGIN = 1 / 6
"""How far below the last document wanted the second level leaves a document: the estimate's error
grows like the root of the number of tokens in a query.

These were chosen on train queries of scifact and dev queries of medquad, to find .99 of the exact
top 100 at less than a tenth of the dot products.
"""


def n_left_by_first(n_documents: int, k: int) -> int:
    """Return how many documents the first level leaves."""
    return max(LEAST * max(k, FEWEST), n_documents // SHARE)


def left_by_second(scores: Scores, k: int, n_query_tokens: int) -> Mask:
    """Return which documents, scored by the second level, may be among the k best."""
    wanted = max(k, FEWEST)
    if len(scores) <= wanted:
        return np.ones(len(scores), np.bool_)
    last = float(np.partition(scores, len(scores) - wanted)[len(scores) - wanted])
    return np.greater_equal(scores, last - MARGIN * math.sqrt(n_query_tokens))


def outlines(documents: TokenVectors) -> list[CodedVectors]:
    """Return the outlines of documents, of width dim + 1, for each of `LEVELS`.

    Args:
        documents: Vectors of length 1, any number of tokens each, none included.
    """
    rows: list[list[Floats]] = [[] for _ in LEVELS]
    for values in each_text(documents):
        merges = ward(values)
        for level, made in zip(LEVELS, rows, strict=True):
            n_clusters = level.n_vectors or -(-len(values) // level.factor)
            made.append(_outline(clusters(values, merges, n_clusters)))
    return [encode_int8(_ragged(made, documents.dim + 1)) for made in rows]


def condensed(queries: TokenVectors, factors: Sequence[int]) -> list[TokenVectors]:
    """Return queries with about one vector for a factor's tokens, for scoring with outlines.

    Tokens that look for much the same are looked for as one: their sum, whose last component is
    their number, since each of them gains what an outline's last component says.

    Args:
        queries: Any number of tokens each, none included.
        factors: Each at least 1.

    Returns:
        For each factor: float32, width dim + 1.
    """
    rows: list[list[Floats]] = [[] for _ in factors]
    for values in each_text(queries):
        merges = ward(values)
        for factor, made in zip(factors, rows, strict=True):
            made.append(_sums(clusters(values, merges, -(-len(values) // factor))))
    return [_ragged(made, queries.dim + 1) for made in rows]


def _sums(groups: Clusters) -> Floats:
    """Return the sum of each cluster's vectors, and behind it their number."""
    means = np.concatenate([groups.means, np.ones((len(groups.means), 1), np.float32)], axis=1)
    return means * groups.sizes[:, None].astype(np.float32)


def _outline(groups: Clusters) -> Floats:
    """Return a vector a cluster: the direction of its mean, and how far its tokens reach beyond.

    q · token is estimated by q · mean / |mean| + SPREAD · sqrt(1 - |mean|²) · log n for the nearest
    of the cluster's n tokens; 1 - |mean|² is their variance.
    """
    squares = np.einsum("ij,ij->i", groups.means, groups.means)
    reach = SPREAD * np.sqrt(np.maximum(1 - squares, 0)) * np.log(groups.sizes)
    return np.concatenate([normalised(groups.means), reach[:, None]], axis=1)


def _ragged(rows: Sequence[Floats], dim: int) -> TokenVectors:
    """Lay rows back to back."""
    return TokenVectors(
        join_lengths([len(row) for row in rows]),
        np.concatenate([np.empty((0, dim), np.float32), *rows]),
    )
