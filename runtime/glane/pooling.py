"""Fewer vectors for a document: tokens that lie close together are replaced by their mean.

Clavié, Chaffin and Adams, "Reducing the Footprint of Multi-Vector Retrieval with Minimal
Performance Impact via Token Pooling", 2024.
"""

from __future__ import annotations

import numpy as np

from glane.types import Floats, Ids
from glane.vectors import TokenVectors, join_lengths


def pool(vectors: TokenVectors, factor: int) -> TokenVectors:
    """Return documents with about one vector for `factor` tokens.

    Args:
        vectors: Any number of tokens each, none included.
        factor: At least 1, which changes nothing; 2 to 4 cost little quality.

    Returns:
        float32 vectors of length 1, ceil(n_tokens / factor) for each document.

    Raises:
        ValueError: If the factor is below 1.
    """
    check_factor(factor)
    if factor == 1:
        return vectors
    rows = [
        clustered(row, -(-len(row) // factor))
        for row in np.split(vectors.values, vectors.offsets[1:-1])[: len(vectors)]
    ]
    nothing = np.empty((0, vectors.dim), np.float32)
    return TokenVectors(join_lengths([len(row) for row in rows]), np.concatenate([nothing, *rows]))


def check_factor(factor: int) -> None:
    """Refuse a factor below 1.

    Raises:
        ValueError: If the factor is below 1.
    """
    if factor < 1:
        raise ValueError(f"pool must be at least 1, got {factor}")


def clustered(values: Floats, n_clusters: int) -> Floats:
    """Return the mean of each Ward cluster of vectors, brought to length 1.

    Args:
        values: Shape (n, dim), at least as many as clusters.
        n_clusters: At least 1, or 0 where there is no vector.

    Returns:
        float32, shape (n_clusters, dim), in order of each cluster's first vector.
    """
    values = np.asarray(values, np.float32)
    labels = ward_labels(values, n_clusters)
    sums = (labels == np.unique(labels)[:, None]).astype(np.float32) @ values
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=sums, where=lengths > 0)


def ward_labels(values: Floats, n_clusters: int) -> Ids:
    """Return the cluster of each vector, by Ward's hierarchy cut at a number of clusters.

    Two clusters a, b cost n_a · n_b / (n_a + n_b) · |mean_a - mean_b|² (Ward, 1963). All pairs
    that are each other's nearest are merged at once: since a merge never comes closer to a third
    cluster than its parts were, that gives the very hierarchy of merging the cheapest pair again
    and again, in a few rounds. The cheapest merges are then kept.

    Args:
        values: float32, shape (n, dim).
        n_clusters: From 1 to n, or 0 where n is 0.

    Returns:
        Shape (n,): the number of the first vector in the same cluster.
    """
    means, names = values.copy(), np.arange(len(values))
    sizes = np.ones(len(values), np.float32)
    merges = [np.empty((0, 3))]
    while len(names) > 1:
        costs = _ward_costs(means, sizes)
        nearest = costs.argmin(axis=1)
        rows = np.arange(len(names))
        first = np.flatnonzero((nearest[nearest] == rows) & (rows < nearest))
        second = nearest[first]
        merges.append(np.stack([costs[first, second], names[second], names[first]], axis=1))
        joint = sizes[first] + sizes[second]
        means[first] += (sizes[second] / joint)[:, None] * (means[second] - means[first])
        sizes[first] = joint
        means, sizes, names = (np.delete(a, second, axis=0) for a in (means, sizes, names))
    merged = np.concatenate(merges)
    kept = merged[np.argsort(merged[:, 0], kind="stable")[: len(values) - n_clusters], 1:]
    labels = np.arange(len(values))
    labels[kept[:, 0].astype(np.int64)] = kept[:, 1]
    while (labels[labels] != labels).any():
        labels = labels[labels]
    return labels


def _ward_costs(means: Floats, sizes: Floats) -> Floats:
    """Return the cost of merging each pair, symmetric; infinite on the diagonal."""
    products = means @ means.T
    lengths = products.diagonal()
    squares = lengths[:, None] + lengths - 2 * products
    costs = squares * (sizes[:, None] * sizes / (sizes[:, None] + sizes))
    costs = np.minimum(costs, costs.T)
    np.fill_diagonal(costs, np.inf)
    return costs
