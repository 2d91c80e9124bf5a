"""Ward's hierarchy against merging the cheapest pair again and again, and token pooling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.maxsim.pooling import check_factor, clusters, pool, ward
from glane.ragged import join_lengths
from glane.types import Floats
from glane.vectors import TokenVectors


def unit(lengths: list[int], dim: int, seed: int) -> TokenVectors:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def one_pair_at_a_time(values: Floats, n_clusters: int) -> list[list[int]]:
    """Merge the pair of lowest cost, computed from its definition, until few enough are left."""
    groups = [[token] for token in range(len(values))]

    def cost(a: list[int], b: list[int]) -> float:
        gap = values[a].astype(float).mean(axis=0) - values[b].astype(float).mean(axis=0)
        return float(len(a) * len(b) / (len(a) + len(b)) * (gap @ gap))

    while len(groups) > n_clusters:
        pairs = [(i, j) for j in range(len(groups)) for i in range(j)]
        i, j = min(pairs, key=lambda pair: cost(groups[pair[0]], groups[pair[1]]))
        groups[i] += groups.pop(j)
    return [sorted(group) for group in groups]


@settings(deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(2, 6), st.integers(0, 99))
def test_the_hierarchy_is_that_of_merging_the_cheapest_pair(
    n: int, n_clusters: int, dim: int, seed: int
) -> None:
    values = unit([n], dim, seed).values
    found = clusters(values, ward(values), n_clusters)
    expected = one_pair_at_a_time(values, n_clusters)
    assert found.sizes.tolist() == [len(group) for group in expected]
    means = np.stack([values[group].mean(axis=0) for group in expected])
    np.testing.assert_allclose(found.means, means, atol=1e-6)


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(2, 4), st.integers(2, 5))
@settings(deadline=None)
def test_pooling_keeps_the_stated_number_of_unit_vectors(
    lengths: list[int], factor: int, dim: int
) -> None:
    vectors = unit(lengths, dim, seed=1)
    pooled = pool(vectors.half(), factor)
    assert np.diff(pooled.offsets).tolist() == [-(-length // factor) for length in lengths]
    assert pooled.values.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(pooled.values, axis=1), 1, atol=1e-5)


def test_equal_tokens_become_one() -> None:
    two = unit([2], 8, seed=3).values
    pooled = pool(TokenVectors(np.array([0, 4]), two[[0, 1, 0, 1]]), 2)
    np.testing.assert_allclose(pooled.values, two, atol=1e-6)


def test_a_factor_of_1_changes_nothing() -> None:
    vectors = unit([3, 0], 4, seed=0)
    assert pool(vectors, 1) is vectors


def test_vectors_that_cancel_stay_finite() -> None:
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert pool(TokenVectors(np.array([0, 2]), opposite), 2).values.tolist() == [[0, 0]]


def test_the_vectors_given_are_not_changed() -> None:
    vectors = unit([9], 4, seed=0)
    before = vectors.values.copy()
    pool(vectors, 3)
    assert np.array_equal(vectors.values, before)


def test_a_factor_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be at least 1, got 0"):
        check_factor(0)


NUMBERS = [0.0, 1.0, -1.0, 1e20, -1e20, 3e38, np.inf, -np.inf, np.nan]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(NUMBERS)] * 2), max_size=12), st.integers(1, 13))
def test_the_hierarchy_ends_whatever_the_numbers(
    rows: list[tuple[float, float]], n_clusters: int
) -> None:
    values = np.array(rows, np.float32).reshape(len(rows), 2)
    merges = ward(values)
    assert merges.shape == (max(0, len(rows) - 1), 2)
    assert len(np.unique(merges[:, 0])) == len(merges)  # each cluster is merged away once
    assert (merges[:, 0] > merges[:, 1]).all()
    with np.errstate(all="ignore"):
        assert len(clusters(values, merges, n_clusters).sizes) == min(len(rows), n_clusters)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 5))
def test_repeated_vectors_are_merged_first(tokens: list[int], n_clusters: int) -> None:
    distinct = unit([4], 8, seed=5).values
    values = distinct[tokens]
    found = clusters(values, ward(values), max(n_clusters, len(set(tokens))))
    assert found.sizes.sum() == len(tokens)
    if n_clusters <= len(set(tokens)):
        order = list(dict.fromkeys(tokens))
        assert found.sizes.tolist() == [tokens.count(token) for token in order]
        np.testing.assert_allclose(found.means, distinct[order], atol=1e-6)
