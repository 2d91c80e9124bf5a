"""The representations, for ragged batches of texts: terms with weights, token vectors, or both.

All keep rows of different lengths back to back, with offsets that say where each begins, as
compressed sparse rows do. Rows can be taken, put together, saved and mapped back.

What costs no time is checked when one is made: axes, types, lengths. An index checks the rest of
what it stores and is searched with, so that a broken number never ranks first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from glane.errors import CheckpointError
from glane.ragged import (
    Rows,
    checked_offsets,
    join_offsets,
    take_rows,
)
from glane.store.arrays import load_arrays, save_arrays
from glane.types import Floats, Ids, as_int32, as_type, checked_array, single_or_half


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SparseVectors:
    """Terms and weights of n texts.

    Attributes:
        indptr: int64, shape (n + 1,), first 0; row i lies at `indptr[i]:indptr[i + 1]`.
        indices: int32, shape (n_terms,), term numbers, each at most once in a row.
        values: float32, shape (n_terms,), weight or count of each term.

    Raises:
        TypeError: If one is not an array.
        ValueError: If they have other axes or lengths; types that fit are converted.
    """

    indptr: Ids
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        indices = as_int32(checked_array(self.indices, "indices", 1, "iu"), "indices")
        values = as_type(checked_array(self.values, "values", 1, "iuf"), np.float32)
        if len(indices) != len(values):
            raise ValueError(f"got {len(indices)} indices for {len(values)} values")
        indptr = checked_offsets(self.indptr, "indptr", len(indices))
        _put(self, indptr=indptr, indices=indices, values=values)

    def __repr__(self) -> str:
        return f"SparseVectors({len(self)} rows, {len(self.indices)} terms)"

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, rows: Rows) -> SparseVectors:
        """Return some rows, by slice or by an array of row numbers, in the order given."""
        indptr, positions = take_rows(self.indptr, rows)
        return SparseVectors(indptr, self.indices[positions], self.values[positions])

    @classmethod
    def concatenate(cls, parts: Sequence[SparseVectors]) -> SparseVectors:
        """Return the rows of all parts, in order; no parts give no rows."""
        return cls(
            join_offsets([part.indptr for part in parts]),
            np.concatenate([np.empty(0, np.int32), *(part.indices for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)]),
        )

    def to_dicts(self, name: Callable[[int], str]) -> list[dict[str, float]]:
        """Return the terms and values of each row, in its order, by the names of the terms."""
        pairs = [
            (name(term), value)
            for term, value in zip(self.indices.tolist(), self.values.tolist(), strict=True)
        ]
        return [dict(pairs[start:end]) for start, end in pairwise(self.indptr.tolist())]

    def save(self, folder: str | Path) -> None:
        """Write the three arrays as `.npy` files into a folder, made where it is missing."""
        save_arrays(folder, indptr=self.indptr, indices=self.indices, values=self.values)

    @classmethod
    def load(cls, folder: str | Path) -> SparseVectors:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        return _loaded(cls, folder, "indptr", "indices", "values")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TokenVectors:
    """One vector per token of n texts.

    Attributes:
        offsets: int64, shape (n + 1,), first 0; text i has tokens `offsets[i]:offsets[i + 1]`.
        values: float32 or float16, shape (n_tokens, dim), each of length 1.

    Raises:
        TypeError: If one is not an array.
        ValueError: If they have other axes or lengths; wider floats become float32.
    """

    offsets: Ids
    values: Floats

    def __post_init__(self) -> None:
        values = checked_array(self.values, "values", 2, "f")
        offsets = checked_offsets(self.offsets, "offsets", len(values))
        _put(self, offsets=offsets, values=single_or_half(values))

    def __repr__(self) -> str:
        shape = f"{len(self)} rows, {len(self.values)} tokens of width {self.dim}"
        return f"TokenVectors({shape}, {self.values.dtype})"

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: Rows) -> TokenVectors:
        """Return some rows, by slice or by an array of row numbers, in the order given."""
        offsets, positions = take_rows(self.offsets, rows)
        return TokenVectors(offsets, self.values[positions])

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.values.shape[1])

    def half(self) -> TokenVectors:
        """Return the same vectors in float16."""
        return TokenVectors(self.offsets, as_type(self.values, np.float16))

    @classmethod
    def concatenate(cls, parts: Sequence[TokenVectors]) -> TokenVectors:
        """Return the rows of all parts, in order.

        Raises:
            ValueError: If there is no part: the width of a vector is then unknown.
        """
        if not parts:
            raise ValueError("parts must hold at least one TokenVectors, got none")
        return cls(
            join_offsets([part.offsets for part in parts]),
            np.concatenate([part.values for part in parts]),
        )

    def save(self, folder: str | Path) -> None:
        """Write the two arrays as `.npy` files into a folder, made where it is missing."""
        save_arrays(folder, offsets=self.offsets, values=self.values)

    @classmethod
    def load(cls, folder: str | Path) -> TokenVectors:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        return _loaded(cls, folder, "offsets", "values")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TermEmbeddings:
    """Terms with weights, and one vector per term, of n texts.

    Attributes:
        terms: Terms and weights.
        embeddings: float32 or float16, shape (n_terms, dim), one for each entry of `terms.indices`.

    Raises:
        TypeError: If `terms` are not `SparseVectors`, or `embeddings` not an array.
        ValueError: If these have other axes or lengths; wider floats become float32.
    """

    terms: SparseVectors
    embeddings: Floats

    def __post_init__(self) -> None:
        check_type(self.terms, SparseVectors, "terms")
        embeddings = checked_array(self.embeddings, "embeddings", 2, "f")
        if len(embeddings) != len(self.terms.indices):
            raise ValueError(
                f"got {len(embeddings)} embeddings for {len(self.terms.indices)} terms"
            )
        _put(self, embeddings=single_or_half(embeddings))

    def __repr__(self) -> str:
        shape = f"{len(self)} rows, {len(self.embeddings)} terms of width {self.dim}"
        return f"TermEmbeddings({shape}, {self.embeddings.dtype})"

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, rows: Rows) -> TermEmbeddings:
        """Return some rows, by slice or by an array of row numbers, in the order given."""
        _, positions = take_rows(self.terms.indptr, rows)
        return TermEmbeddings(self.terms[rows], self.embeddings[positions])

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self.embeddings.shape[1])

    def half(self) -> TermEmbeddings:
        """Return the same with vectors in float16."""
        return TermEmbeddings(self.terms, as_type(self.embeddings, np.float16))

    @classmethod
    def concatenate(cls, parts: Sequence[TermEmbeddings]) -> TermEmbeddings:
        """Return the rows of all parts, in order.

        Raises:
            ValueError: If there is no part: the width of a vector is then unknown.
        """
        if not parts:
            raise ValueError("parts must hold at least one TermEmbeddings, got none")
        terms = SparseVectors.concatenate([part.terms for part in parts])
        return cls(terms, np.concatenate([part.embeddings for part in parts]))

    def save(self, folder: str | Path) -> None:
        """Write the four arrays as `.npy` files into a folder, made where it is missing."""
        self.terms.save(folder)
        save_arrays(folder, embeddings=self.embeddings)

    @classmethod
    def load(cls, folder: str | Path) -> TermEmbeddings:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        names = ("indptr", "indices", "values", "embeddings")
        return _loaded(lambda *arrays: cls(SparseVectors(*arrays[:3]), arrays[3]), folder, *names)


class Vectors(Protocol):
    """Ragged rows, one a text: `TokenVectors`, `SparseVectors` or `TermEmbeddings`."""

    def __len__(self) -> int:
        """Return how many texts there are."""
        ...

    def __getitem__(self, rows: Rows) -> Self:
        """Return some rows."""
        ...

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, in order."""
        ...


V = TypeVar("V", bound=Vectors)
T = TypeVar("T")


def check_width(dim: int, expected: int) -> None:
    """Refuse vectors of another width than an index holds.

    Raises:
        ValueError: If they differ.
    """
    if dim != expected:
        raise ValueError(f"vectors must have width {expected}, got {dim}")


def check_type(vectors: object, kind: type, name: str) -> None:
    """Refuse something else than a container of one kind.

    Raises:
        TypeError: If it is another type.
    """
    if not isinstance(vectors, kind):
        raise TypeError(f"{name} must be {kind.__name__}, got {type(vectors).__name__}")


def _put(owner: object, **arrays: npt.NDArray[Any]) -> None:
    """Set fields of a frozen dataclass."""
    for name, array in arrays.items():
        object.__setattr__(owner, name, array)


def _loaded(make: Callable[..., T], folder: str | Path, *names: str) -> T:
    """Return what is made of the arrays of a folder."""
    arrays = load_arrays(folder, *names)
    try:
        return make(*arrays)
    except ValueError as error:
        raise CheckpointError(f"{str(folder)!r} is damaged: {error}") from None
