"""The stored kinds of token vectors: bounds of their error, sizes, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.maxsim.quantization import (
    KINDS,
    CodedVectors,
    CodeKind,
    TokenCodes,
    as_stored,
    encode,
    turned,
    unsigned,
    widened,
)
from glane.ragged import join_lengths
from glane.types import Floats
from glane.vectors import TokenVectors

LENGTHS = st.lists(st.integers(0, 5), max_size=5)
WHOLE = slice(None)


def unit(lengths: list[int], dim: int, seed: int = 0) -> TokenVectors:
    values = np.random.default_rng(seed).normal(size=(sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def vectors_of(coded: TokenCodes, tokens: slice = WHOLE) -> Floats:
    if isinstance(coded, TokenVectors):
        return widened(coded.values[tokens])
    codes, middle, steps = unsigned(coded, [tokens])
    whole = (codes - np.float32(middle)) * steps[:, None]
    return as_stored(whole, coded)  # turned twice, a vector is itself again


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 8), st.sampled_from([("int8", 127.0), ("int4", 7.5)]))
def test_no_component_is_off_by_more_than_half_a_step(
    lengths: list[int], pairs: int, case: tuple[CodeKind, float]
) -> None:
    kind, most = case
    vectors = unit(lengths, 2 * pairs)
    coded = encode(vectors, kind)
    assert (len(coded), coded.dim) == (len(vectors), vectors.dim)
    expected = as_stored(vectors.values, coded)
    steps = np.abs(expected).max(axis=1, initial=0) / most
    gaps = np.abs(as_stored(vectors_of(coded), coded) - expected)
    # A float16 scale is off by at most 2^-11 of itself: the outermost codes may fall short of it.
    assert (gaps <= (steps * (0.5 + most * 2.0**-11))[:, None] + 1e-6).all()


@pytest.mark.parametrize("dim", [1, 2, 6, 96, 128])
def test_turning_keeps_products_and_undoes_itself(dim: int) -> None:
    vectors = unit([5], dim).values
    again = turned(turned(vectors))
    np.testing.assert_allclose(again, vectors, atol=1e-6)
    np.testing.assert_allclose(turned(vectors) @ turned(vectors).T, vectors @ vectors.T, atol=1e-6)
    spike = np.zeros((1, dim), np.float32)
    spike[0, 0] = 1
    assert np.abs(turned(spike)).max() == pytest.approx((dim & -dim) ** -0.5)
    assert turned(vectors[:0]).shape == (0, dim)


@pytest.mark.parametrize(("kind", "size"), [("float16", 256), ("int8", 130), ("int4", 66)])
def test_bytes_a_token(kind: CodeKind, size: int) -> None:
    coded = encode(unit([3, 7], 128), kind)
    arrays = [coded.values] if isinstance(coded, TokenVectors) else [coded.codes, coded.scales]
    assert sum(array.nbytes for array in arrays) == 10 * size


@settings(deadline=None)
@given(LENGTHS, st.sampled_from(KINDS), st.data())
def test_rows_are_taken_with_their_codes(
    lengths: list[int], kind: CodeKind, data: st.DataObject
) -> None:
    vectors = unit(lengths, 6)
    coded = encode(vectors, kind)
    rows = np.array(data.draw(st.permutations(range(len(lengths)))), np.int64)
    np.testing.assert_array_equal(vectors_of(coded[rows]), vectors_of(encode(vectors[rows], kind)))


def test_a_run_of_tokens_is_read_as_in_the_whole() -> None:
    for kind in KINDS:
        coded = encode(unit([4, 3], 8), kind)
        np.testing.assert_array_equal(vectors_of(coded, slice(2, 5)), vectors_of(coded)[2:5])


def test_integers_are_moved_to_the_right_of_0() -> None:
    offsets, one = np.array([0, 1]), np.ones(1, np.float16)
    int8 = CodedVectors(offsets, np.array([[-128, -127, -1, 0, 127]], np.int8), one)
    codes, middle, steps = unsigned(int8, [WHOLE])
    assert (codes.tolist(), middle, steps.tolist()) == ([[0, 1, 127, 128, 255]], 128, [1.0])
    int4 = CodedVectors(offsets, np.array([[0xF0, 0x18]], np.uint8), one)
    codes, middle, steps = unsigned(int4, [WHOLE])
    assert (codes.tolist(), middle, steps.tolist()) == ([[0, 16, 30, 2]], 15, [0.5])


def test_vectors_of_zeros_come_back_as_zeros() -> None:
    zeros = TokenVectors(np.array([0, 2]), np.zeros((2, 4), np.float32))
    for kind in KINDS:
        assert not vectors_of(encode(zeros, kind)).any()


def test_wrong_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of float16, int8, int4, got 'int2'"):
        encode(unit([1], 4), "int2")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="int4 holds vectors of even width, got 5; use int8"):
        encode(unit([1], 5), "int4")


def test_every_finite_half_is_widened_to_the_same_number() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].reshape(-1, 2)
    wide = widened(finite)
    assert wide.dtype == np.float32
    assert np.array_equal(wide.view(np.uint32), finite.astype(np.float32).view(np.uint32))
    assert widened(finite[::3]).shape == finite[::3].shape
    single = np.ones((2, 3), np.float32)
    assert widened(single) is single
