"""The product that MaxSim is made of: each number depends on its own two vectors alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.maxsim.gemm import product


def vectors(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_vectors_without_numbers_have_products_of_0(n_rows: int) -> None:
    result = product(vectors(2, 0, 1), vectors(n_rows, 0, 0))
    assert result.dtype == np.float32
    assert np.array_equal(result, np.zeros((2, n_rows)))


@pytest.mark.parametrize(("n_queries", "n_rows"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 3), (3, 1)])
def test_few_vectors_give_the_dot_products(n_queries: int, n_rows: int) -> None:
    queries, rows = vectors(n_queries, 8, 0), vectors(n_rows, 8, 1)
    result = product(queries, rows)
    assert result.dtype == np.float32
    assert result.shape == (n_queries, n_rows)
    np.testing.assert_allclose(result, queries @ rows.T, rtol=1e-5, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(
    dim=st.sampled_from([1, 7, 64, 128, 200, 384, 768, 1024, 8193, 20_000]),
    n_queries=st.integers(1, 200),
    n_rows=st.integers(1, 70),
    data=st.data(),
)
def test_any_part_is_the_same_alone(
    dim: int, n_queries: int, n_rows: int, data: st.DataObject
) -> None:
    queries, rows = vectors(n_queries, dim, 3), vectors(n_rows, dim, 2)
    first_row = data.draw(st.integers(0, n_rows - 1))
    last_row = data.draw(st.integers(first_row + 1, n_rows))
    first_query = data.draw(st.integers(0, n_queries - 1))
    last_query = data.draw(st.integers(first_query + 1, n_queries))
    whole = product(queries, rows)
    part = product(queries[first_query:last_query], rows[first_row:last_row])
    assert np.array_equal(part, whole[first_query:last_query, first_row:last_row])


def test_a_row_is_the_same_wherever_it_stands_among_many() -> None:
    queries, rows = vectors(32, 128, 5), vectors(9000, 128, 4)
    rows[[3, 4099, 8999]] = rows[0]
    result = product(queries, rows)
    assert np.array_equal(result[:, [3, 4099, 8999]], result[:, [0, 0, 0]])
    np.testing.assert_allclose(result, queries @ rows.T, rtol=1e-4, atol=1e-4)


def test_parts_of_larger_arrays_are_read_as_they_are() -> None:
    queries, rows = vectors(4, 16, 7)[:, 8:], vectors(6, 16, 6)[::2, ::2]
    np.testing.assert_allclose(product(queries, rows), queries @ rows.T, rtol=1e-5, atol=1e-5)
