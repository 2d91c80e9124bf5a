"""Fewer vectors for a document: tokens that lie close together are replaced by their mean.

Clavié, Chaffin and Adams, "Reducing the Footprint of Multi-Vector Retrieval with Minimal
Performance Impact via Token Pooling", 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from glane.hits import check_k
from glane.ragged import join_lengths
from glane.types import Floats, Ids
from glane.vectors import TokenVectors


class Clusters(NamedTuple):
    """Groups of vectors, in order of each one's first vector.

    Attributes:
        means: float32, shape (n_clusters, dim).
        sizes: float32, shape (n_clusters,), at least 1.
    """

    means: Floats
    sizes: Floats


def pool(vectors: TokenVectors, factor: int) -> TokenVectors:
    """Return texts with about one vector for `factor` tokens.

    Args:
        vectors: Any number of tokens each, none included.
        factor: At least 1, which changes nothing; 2 to 4 cost little quality.

    Returns:
        float32 vectors of length 1, ceil(n_tokens / factor) for each text.
    """
    if factor == 1:
        return vectors
    means = [clusters(row, ward(row), -(-len(row) // factor)).means for row in each_text(vectors)]
    return TokenVectors(
        join_lengths([len(row) for row in means]),
        normalised(np.concatenate([np.empty((0, vectors.dim), np.float32), *means])),
    )


def check_factor(factor: int) -> None:
    """Refuse a factor that is not a whole number of at least 1.

    Raises:
        TypeError: If the factor is not an integer.
        ValueError: If the factor is below 1.
    """
    check_k(factor, "pool")


def each_text(vectors: TokenVectors) -> Iterator[Floats]:
    """Yield the vectors of each text as float32, shape (n_tokens, dim)."""
    for start, stop in zip(vectors.offsets[:-1], vectors.offsets[1:], strict=True):
        yield np.asarray(vectors.values[start:stop], np.float32)


def normalised(values: Floats) -> Floats:
    """Return vectors brought to length 1; those of length 0 stay."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(lengths > 0, lengths, 1)


def ward(values: Floats) -> Ids:
    """Return Ward's hierarchy of vectors, to be cut by `clusters`.

    Merging clusters a and b costs n_a · n_b / (n_a + n_b) · |mean_a - mean_b|² (Ward, 1963). All
    pairs that are each other's nearest are merged at once: since a joint cluster never lies closer
    to a third than its parts did, that gives the very hierarchy of merging the cheapest pair
    again and again, in a few rounds. Vectors that are the very same are merged first, at no cost.

    Args:
        values: float32, shape (n, dim); if their squares are too large for float32, or a number is
            not finite, the hierarchy is some other one.

    Returns:
        Shape (n - 1, 2) (none for n = 0): merges, cheapest first, of the cluster whose first
        vector has the left number into the cluster whose first vector has the right one.
    """
    names, merged = _distinct(values)
    sizes = np.bincount(merged[:, 1], minlength=len(values))[names].astype(np.float32) + 1
    means = values[names]
    costs, merges = [np.full(len(merged), -1, np.float32)], [merged]
    while len(names) > 1:
        pairwise = _costs(means, sizes)
        rows, nearest = np.arange(len(names)), pairwise.argmin(axis=1)
        left = np.flatnonzero((nearest[nearest] == rows) & (rows < nearest))
        right = nearest[left]
        costs.append(pairwise[left, right])
        merges.append(np.stack([names[right], names[left]], axis=1))
        joint = sizes[left] + sizes[right]
        with np.errstate(over="ignore", invalid="ignore"):
            means[left] += (sizes[right] / joint)[:, None] * (means[right] - means[left])
        sizes[left] = joint
        stays = np.ones(len(names), np.bool_)
        stays[right] = False
        means, sizes, names = means[stays], sizes[stays], names[stays]
    order = np.argsort(np.concatenate(costs), kind="stable")
    return np.concatenate(merges)[order]


def _distinct(values: Floats) -> tuple[Ids, Ids]:
    """Return the first of each vector, and the merges of its repetitions into it.

    Left to the rounds, each of many equal vectors would have the same nearest, and a round of all
    pairs would merge two of them.
    """
    seen: dict[bytes, int] = {}
    first = np.array([seen.setdefault(row.tobytes(), n) for n, row in enumerate(values)], np.int64)
    again = np.flatnonzero(first != np.arange(len(values)))
    return np.array(list(seen.values()), np.int64), np.stack([again, first[again]], axis=1)


def clusters(values: Floats, merges: Ids, n_clusters: int) -> Clusters:
    """Return the clusters of vectors at one height of their hierarchy.

    Args:
        values: float32, shape (n, dim).
        merges: From `ward`.
        n_clusters: At least 1; more than n gives each vector its own.
    """
    first = first_of_cluster(merges, len(values), n_clusters)
    members = (np.unique(first)[:, None] == first).astype(np.float32)
    sizes = members.sum(axis=1)
    return Clusters(members @ values / sizes[:, None], sizes)


def first_of_cluster(merges: Ids, n_vectors: int, n_clusters: int) -> Ids:
    """Return the first vector of each vector's cluster, at one height of their hierarchy.

    Args:
        merges: From `ward`.
        n_vectors: How many there are.
        n_clusters: At least 1; more than there are vectors gives each its own.
    """
    kept = merges[: max(0, n_vectors - n_clusters)]
    first = np.arange(n_vectors)
    first[kept[:, 0]] = kept[:, 1]
    while (first[first] != first).any():
        first = first[first]
    return first


def _costs(means: Floats, sizes: Floats) -> Floats:
    """Return the cost of merging each pair, symmetric; infinite on the diagonal alone.

    What is too large for float32, or not a number, costs the most that a number can: in each round
    some pair is then each other's nearest, and the rounds end.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        products = means @ means.T
        squares = np.diag(products)
        distances = squares[:, None] + squares - 2 * products
        costs = distances * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
    costs = np.fmin(np.fmin(costs, costs.T), np.finfo(np.float32).max)
    np.fill_diagonal(costs, np.inf)
    return costs
