"""The product of integers that MaxSim of coded documents is made of: exact, on every CPU."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.maxsim import kernel as module
from glane.maxsim.integers import QUERY_MOST, Signed, Unsigned, integer_product, query_codes
from glane.maxsim.kernel import maxsim_scores, similarities_with
from glane.maxsim.quantization import CodeKind, encode
from glane.ragged import join_lengths
from glane.types import Scores
from glane.vectors import TokenVectors

LENGTHS = st.lists(st.integers(0, 5), max_size=6)
CODED = pytest.mark.parametrize("kind", ["int8", "int4"])


def random_codes(n_queries: int, n_rows: int, dim: int, seed: int = 0) -> tuple[Signed, Unsigned]:
    random = np.random.default_rng(seed)
    asked = random.integers(-63, 64, (n_queries, dim), dtype=np.int8)
    codes = random.integers(0, 256, (n_rows, dim), dtype=np.uint8)
    steps, row_steps = (random.random(n, dtype=np.float32) for n in (n_queries, n_rows))
    return Signed(asked, steps), Unsigned(codes, 128, row_steps)


def random_vectors(lengths: list[int], dim: int, seed: int = 0) -> TokenVectors:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def defined(queries: Signed, rows: Unsigned) -> Scores:
    """Multiply in 64 bits, and round where the product says that it rounds."""
    sums = queries.codes.astype(np.int64) @ (rows.codes.astype(np.int64) - rows.middle).T
    return np.asarray(sums.astype(np.float32) * queries.steps[:, None] * rows.steps)


def added_in_16_bits(
    queries: npt.NDArray[np.int8], rows: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int32]:
    """Return the sums of products as a CPU without VNNI adds them: in pairs, in 16 bits."""
    products = queries[:, None].astype(np.int32) * rows[None].astype(np.int32)
    pairs = products[:, :, 0::2] + products[:, :, 1::2]
    return np.asarray(np.clip(pairs, -(2**15), 2**15 - 1).sum(2), np.int32)


@settings(deadline=None)
@given(
    n_queries=st.integers(0, 40),
    n_rows=st.integers(0, 70),
    dim=st.sampled_from([0, 1, 2, 3, 63, 64, 129, 384, 5000]),
    threads=st.sampled_from([1, 2]),
)
def test_the_product_equals_the_definition_bit_for_bit(
    n_queries: int, n_rows: int, dim: int, threads: int
) -> None:
    queries, rows = random_codes(n_queries, n_rows, dim)
    result = integer_product(queries, rows, threads)
    assert result.dtype == np.float32
    assert np.array_equal(result, defined(queries, rows))


@pytest.mark.parametrize("dim", [1, 2, 64, 128, 385, 20_000])
@pytest.mark.parametrize(("asked", "stored"), [(63, 255), (-63, 255), (63, 0), (-63, 0)])
def test_extreme_codes_are_multiplied_exactly(dim: int, asked: int, stored: int) -> None:
    ones = np.ones(3, np.float32)
    queries = Signed(np.full((3, dim), asked, np.int8), ones)
    rows = Unsigned(np.full((3, dim), stored, np.uint8), 128, ones)
    assert (
        integer_product(queries, rows).tolist() == [[float(dim * asked * (stored - 128))] * 3] * 3
    )


@pytest.mark.parametrize(("most", "is_exact"), [(int(QUERY_MOST), True), (127, False)])
def test_a_query_of_7_bits_is_exact_without_vnni_too(most: int, is_exact: bool) -> None:
    signs = np.array([[1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1]], np.int8)
    queries, rows = (
        signs * np.int8(most),
        np.array([[255] * 4, [0] * 4, [255, 255, 0, 0]], np.uint8),
    )
    exact = queries.astype(np.int32) @ rows.astype(np.int32).T
    assert np.array_equal(added_in_16_bits(queries, rows), exact) == is_exact


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 9), st.sampled_from([1e-45, 1e-30, 1.0, 65_504.0]))
def test_no_component_of_a_query_is_off_by_more_than_half_a_step(
    n: int, dim: int, size: float
) -> None:
    vectors = np.random.default_rng(1).normal(size=(n, dim)).astype(np.float32)
    vectors *= np.float32(size) / np.maximum(np.abs(vectors).max(axis=1, initial=0), 1e-9)[:, None]
    codes, steps = query_codes(vectors)
    assert codes.dtype == np.int8
    assert steps.dtype == np.float32
    assert (np.abs(codes) <= 63).all()
    gaps = np.abs(codes * steps[:, None].astype(np.float64) - vectors)
    # a step below 2^-149 is 0, and all codes with it
    assert (gaps <= np.maximum(steps[:, None] * 0.5001, 2.0**-142)).all()


def test_query_vectors_of_zeros_are_codes_of_zeros() -> None:
    codes, steps = query_codes(np.zeros((2, 4), np.float32))
    assert not codes.any()
    assert steps.tolist() == [0, 0]


@CODED
@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.data())
def test_a_score_depends_on_its_query_and_document_alone(
    kind: CodeKind, query_lengths: list[int], document_lengths: list[int], data: st.DataObject
) -> None:
    queries = random_vectors(query_lengths, 6, seed=1)
    documents = encode(random_vectors(document_lengths, 6, seed=2), kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_TOKENS", 8)
        whole = maxsim_scores(queries, documents, threads=2)
    rows = np.array(data.draw(st.permutations(range(len(documents)))), np.int64)
    assert np.array_equal(maxsim_scores(queries, documents[rows], threads=1), whole[:, rows])
    for query in range(len(queries)):
        alone = maxsim_scores(queries[query : query + 1], documents)
        assert np.array_equal(alone[0], whole[query])


@CODED
def test_documents_of_every_place_among_many_score_the_same(kind: CodeKind) -> None:
    queries, one = random_vectors([32, 5], 128, seed=1), random_vectors([181], 128, seed=2)
    documents = encode(TokenVectors.concatenate([one] * 60), kind)
    scores = maxsim_scores(queries, documents)
    assert (scores == scores[:, :1]).all()
    assert np.array_equal(scores, maxsim_scores(queries, documents, threads=1))


@CODED
def test_the_largest_similarities_sum_to_the_score(kind: CodeKind) -> None:
    query, documents = random_vectors([7], 16, seed=1), encode(random_vectors([5, 9], 16), kind)
    similarities = similarities_with(query.values, documents)
    scores = maxsim_scores(query, documents)[0]
    for row, tokens in enumerate((slice(0, 5), slice(5, 14))):
        best = similarities([tokens]).max(axis=1)
        assert scores[row] == pytest.approx(best.sum(), rel=1e-6)


@CODED
def test_scores_lie_near_those_of_the_vectors_themselves(kind: CodeKind) -> None:
    queries, documents = random_vectors([32, 8], 128, seed=1), random_vectors([90] * 30, 128)
    exact = maxsim_scores(queries, documents)
    gaps = maxsim_scores(queries, encode(documents, kind)) - exact
    assert np.abs(gaps).max() < {"int8": 0.03, "int4": 0.4}[kind]
