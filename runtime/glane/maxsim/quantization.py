"""How token vectors are stored: as float16, or as int8 or int4 with one scale a vector.

What is stored is made ready for its product a block at a time (`widened`, `unsigned`), so that a
collection may stay in mapped files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from glane.maxsim.integers import Unsigned
from glane.ragged import Rows, check_rising, checked_offsets, join_runs, take_rows
from glane.types import Floats, Ids, check_size, checked_array
from glane.vectors import TokenVectors, check_type, check_width

CodeKind = Literal["float16", "int8", "int4"]

KINDS: tuple[CodeKind, ...] = get_args(CodeKind)

HALF_BITS = np.uint32(0x8FFFE000).view(np.int32)
"""The sign, and where the other 15 bits of a float16 stand after a shift left by 13."""

INT8_MOST = np.float32(127)

INT4_MIDDLE = np.float32(7.5)
"""The 16 codes of int4 stand for -7.5 to 7.5 steps: none is wasted on a second 0."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CodedVectors:
    """Token vectors of n texts, a small integer for each component.

    Attributes:
        offsets: int64, shape (n + 1,), first 0; text i has tokens `offsets[i]:offsets[i + 1]`.
        codes: int8, shape (n_tokens, dim); or uint8, shape (n_tokens, dim / 2), two components in
            a byte, the first half of them in the lower bits.
        scales: float16, shape (n_tokens,), at least 0: the length of one step of a code.

    Raises:
        ValueError: If the arrays have other axes, types or lengths.
    """

    offsets: Ids
    codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]

    def __post_init__(self) -> None:
        checked_array(self.codes, "codes", 2, "iu")
        checked_array(self.scales, "scales", 1, "f")
        checked_offsets(self.offsets, "offsets", len(self.codes))
        if len(self.scales) != len(self.codes):
            raise ValueError(f"got {len(self.scales)} scales for {len(self.codes)} vectors")

    def __repr__(self) -> str:
        shape = f"{len(self)} rows, {len(self.codes)} tokens of width {self.dim}"
        return f"CodedVectors({shape}, {self.codes.dtype})"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: Rows) -> CodedVectors:
        """Return some rows, by slice or by an array of row numbers, in the order given."""
        offsets, positions = take_rows(self.offsets, rows)
        return CodedVectors(offsets, self.codes[positions], self.scales[positions])

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.codes.shape[1]) * (2 if self.codes.dtype == np.uint8 else 1)


TokenCodes = TokenVectors | CodedVectors
"""What a `CodeKind` stores: float16 vectors as they are, or integers."""


def encode(vectors: TokenVectors, kind: CodeKind) -> TokenCodes:
    """Return vectors as they are stored.

    int8: x ≈ step · c, c in -127..127, step = max |x| / 127. int4: x ≈ step · (c - 7.5), c in
    0..15, step = max |x| / 7.5, of `turned` vectors, whose largest component is smaller. The step
    is rounded to float16 first, so that the codes make up for its rounding.

    Args:
        vectors: float32 or float16, finite.
        kind: One of `KINDS`.

    Raises:
        ValueError: If the kind is unknown, or int4 and the width is odd.
    """
    check_kind(kind, vectors.dim)
    if kind == "float16":
        return vectors.half()
    return encode_int8(vectors) if kind == "int8" else _encode_int4(vectors)


def encode_int8(vectors: TokenVectors) -> CodedVectors:
    """Return vectors in the kind int8."""
    levels, scales = _levels(vectors, INT8_MOST)
    codes = np.rint(levels).clip(-INT8_MOST, INT8_MOST).astype(np.int8)
    return CodedVectors(vectors.offsets, codes, scales)


def _encode_int4(vectors: TokenVectors) -> CodedVectors:
    levels, scales = _levels(replace(vectors, values=turned(vectors.values)), INT4_MIDDLE)
    codes = np.rint(levels + INT4_MIDDLE).clip(0, 15).astype(np.uint8)
    low, high = np.split(codes, 2, axis=1)
    return CodedVectors(vectors.offsets, low | high << 4, scales)


def _levels(
    vectors: TokenVectors, most: np.float32
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    """Return vectors in steps, of which the largest component has at most so many, and the step."""
    values = np.asarray(vectors.values, np.float32)
    scales = (np.abs(values).max(axis=1, initial=0) / most).astype(np.float16)
    return values / np.where(scales > 0, scales, 1).astype(np.float32)[:, None], scales


def decoded(stored: TokenCodes) -> TokenVectors:
    """Return the vectors that codes stand for, as float32.

    Exact for float16 and int8; those of int4 are turned back, which rounds.
    """
    if isinstance(stored, TokenVectors):
        return TokenVectors(stored.offsets, widened(stored.values))
    steps = stored.scales.astype(np.float32)[:, None]
    if stored.codes.dtype == np.int8:
        return TokenVectors(stored.offsets, stored.codes.astype(np.float32) * steps)
    codes = np.concatenate([stored.codes & 15, stored.codes >> 4], axis=1)
    return TokenVectors(stored.offsets, turned((codes - INT4_MIDDLE) * steps))


def unsigned(stored: CodedVectors, runs: Sequence[slice]) -> Unsigned:
    """Return the vectors of runs of tokens as integers from 0 up, exactly as they are stored.

    int8: 1..255 around 128. int4: 0, 2 .. 30 around 15, in half steps. Those of int4 are still
    `turned`; so must be what they are multiplied with (`as_stored`).
    """
    codes = join_runs(stored.codes, runs)
    steps = join_runs(stored.scales, runs).astype(np.float32)
    if codes.dtype == np.int8:
        own = codes.view(np.uint8)
        joined = own if len(runs) > 1 else None  # a single run is what is stored: to be left alone
        return Unsigned(np.bitwise_xor(own, np.uint8(128), out=joined), 128, steps)
    doubled = np.empty((len(codes), stored.dim), np.uint8)
    low, high = np.split(doubled, 2, axis=1)
    np.bitwise_and(codes + codes, 30, out=low)
    np.bitwise_and(codes >> 3, 30, out=high)
    return Unsigned(doubled, 15, steps * np.float32(0.5))


def as_stored(vectors: Floats, stored: TokenCodes) -> npt.NDArray[np.float32]:
    """Return query vectors as they are to be multiplied with what is stored."""
    values = np.asarray(vectors, np.float32)
    is_turned = isinstance(stored, CodedVectors) and stored.codes.dtype == np.uint8
    return turned(values) if is_turned else values


def turned(vectors: Floats) -> npt.NDArray[np.float32]:
    """Return vectors turned by a fixed rotation that spreads a large component over many.

    Hadamard's matrix, scaled to length 1, on each run of 2^k components, 2^k being the largest
    power of two in the width. Products stay; turned twice, a vector is itself again.

    Args:
        vectors: Shape (n, dim).

    >>> turned(np.float32([[1, 0, 0, 0]]))
    array([[0.5, 0.5, 0.5, 0.5]], dtype=float32)
    """
    n, dim = vectors.shape
    run = dim & -dim
    values = np.array(vectors, np.float32)
    half = 1
    while half < run:
        pairs = values.reshape(n, dim // (2 * half), 2, half)
        left, right = pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]
        pairs[:, :, 0], pairs[:, :, 1] = left, right
        half *= 2
    values *= np.float32(run**-0.5)
    return values


def widened(values: Floats) -> npt.NDArray[np.float32]:
    """Return finite float16 values as float32, six times faster than numpy converts them.

    Sign, exponent and fraction are moved to their places in a float32; the exponent's bias, 15
    against 127, is made up for by 2 ** 112, which is exact, for subnormal numbers too.

    Args:
        values: float16, or what is float32 already and comes back as it is.
    """
    if values.dtype != np.float16:
        return np.asarray(values, np.float32)
    bits = np.ascontiguousarray(values).view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= HALF_BITS
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


def check_kind(kind: str, dim: int) -> None:
    """Refuse an unknown kind, and a width that the kind cannot store.

    Raises:
        ValueError: If the kind is unknown, or int4 and the width is odd.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "int4" and dim % 2:
        raise ValueError(f"int4 holds vectors of even width, got {dim}; use int8")


def check_tokens(vectors: TokenVectors, dim: int, name: str) -> None:
    """Refuse token vectors that cannot be stored or searched with.

    Args:
        vectors: What was given.
        dim: Width that they must have.
        name: What they are called.

    Raises:
        TypeError: If they are not `TokenVectors`.
        ValueError: If they have another width, offsets that fall, or a component that is not
            finite or larger than 65,504.
    """
    check_type(vectors, TokenVectors, name)
    check_width(vectors.dim, dim)
    check_rising(vectors.offsets, name)
    check_size(vectors.values, vectors.offsets, name)
