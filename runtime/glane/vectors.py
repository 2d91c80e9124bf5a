"""The representations, for ragged batches of texts: terms with weights, token vectors, or both.

All keep rows of different lengths back to back, with offsets that say where each begins, as
compressed sparse rows do. Rows can be taken, put together, saved and mapped back.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from glane.checkpoint import CheckpointError
from glane.types import Floats, Ids

Rows = slice | Ids


@dataclass(frozen=True, slots=True, eq=False)
class SparseVectors:
    """Terms and weights of n texts.

    Attributes:
        indptr: int64, shape (n + 1,), first 0; row i lies at `indptr[i]:indptr[i + 1]`.
        indices: int32, shape (n_terms,), term numbers, each at most once in a row.
        values: float32, shape (n_terms,), weight or count of each term.
    """

    indptr: Ids
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

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
        _save_arrays(folder, indptr=self.indptr, indices=self.indices, values=self.values)

    @classmethod
    def load(cls, folder: str | Path) -> SparseVectors:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        return cls(*_load_arrays(folder, "indptr", "indices", "values"))


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """One vector per token of n texts.

    Attributes:
        offsets: int64, shape (n + 1,), first 0; text i has tokens `offsets[i]:offsets[i + 1]`.
        values: float32 or float16, shape (n_tokens, dim), each of length 1.
    """

    offsets: Ids
    values: Floats

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
        """Return the same vectors in float16, the precision they are stored in."""
        return TokenVectors(self.offsets, self.values.astype(np.float16, copy=False))

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
        _save_arrays(folder, offsets=self.offsets, values=self.values)

    @classmethod
    def load(cls, folder: str | Path) -> TokenVectors:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        return cls(*_load_arrays(folder, "offsets", "values"))


@dataclass(frozen=True, slots=True, eq=False)
class TermEmbeddings:
    """Terms with weights, and one vector per term, of n texts.

    Attributes:
        terms: Terms and weights.
        embeddings: float32 or float16, shape (n_terms, dim), one for each entry of `terms.indices`.
    """

    terms: SparseVectors
    embeddings: Floats

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
        """Return the same with vectors in float16, the precision they are stored in."""
        return TermEmbeddings(self.terms, self.embeddings.astype(np.float16, copy=False))

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
        _save_arrays(folder, embeddings=self.embeddings)

    @classmethod
    def load(cls, folder: str | Path) -> TermEmbeddings:
        """Map what `save` wrote; nothing is read before it is used.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        *terms, embeddings = _load_arrays(folder, "indptr", "indices", "values", "embeddings")
        return cls(SparseVectors(*terms), embeddings)


def join_offsets(parts: Sequence[Ids]) -> Ids:
    """Return the offsets of ragged parts laid back to back.

    >>> join_offsets([np.array([0, 2, 5]), np.array([0, 1])])
    array([0, 2, 5, 6])
    """
    return join_lengths(np.concatenate([np.empty(0, np.int64), *map(np.diff, parts)]))


def join_lengths(lengths: Sequence[int] | Ids) -> Ids:
    """Return the offsets of rows of these lengths, laid back to back.

    >>> join_lengths([2, 0, 3])
    array([0, 2, 2, 5])
    """
    return np.concatenate([np.zeros(1, np.int64), np.asarray(lengths, np.int64)]).cumsum()


@overload
def take_rows(offsets: Ids, rows: Ids) -> tuple[Ids, Ids]: ...
@overload
def take_rows(offsets: Ids, rows: Rows) -> tuple[Ids, slice | Ids]: ...
def take_rows(offsets: Ids, rows: Rows) -> tuple[Ids, slice | Ids]:
    """Return the offsets of chosen ragged rows and where their elements lie.

    Args:
        offsets: Shape (n + 1,).
        rows: A slice of step 1 (elements come back as a slice: a view, no copy), or row numbers.

    Returns:
        New offsets, shape (n_chosen + 1,), and the elements' positions.

    >>> take_rows(np.array([0, 2, 5]), np.array([1, 0]))
    (array([0, 3, 5]), array([2, 3, 4, 0, 1]))
    """
    n_rows = len(offsets) - 1
    if isinstance(rows, slice) and rows.step in (None, 1):
        start, stop, _ = rows.indices(n_rows)
        chosen = offsets[start : max(start, stop) + 1]
        return chosen - chosen[0], slice(int(chosen[0]), int(chosen[-1]))
    numbers = np.arange(n_rows)[rows]
    lengths = np.diff(offsets)[numbers]
    taken = join_lengths(lengths)
    shift = np.repeat(offsets[numbers] - taken[:-1], lengths)
    return taken, np.arange(taken[-1]) + shift


def _save_arrays(folder: str | Path, **arrays: npt.NDArray[Any]) -> None:
    """Write each array beside and move it into place: it may be mapped from the old file."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        path = Path(folder) / f"{name}.npy"
        new = path.with_suffix(".new.npy")
        np.save(new, array, allow_pickle=False)
        os.replace(new, path)


def _load_arrays(folder: str | Path, *names: str) -> list[npt.NDArray[Any]]:
    """Map the offsets and the arrays they cut, which must be as long as the offsets say."""
    offsets, *arrays = [read_array(Path(folder) / f"{name}.npy") for name in names]
    if len(offsets) == 0 or any(len(array) != offsets[-1] for array in arrays):
        raise CheckpointError(f"{str(folder)!r} is damaged: its arrays are of different lengths")
    return [offsets, *arrays]


def read_array(path: Path, *, mapped: bool = True) -> npt.NDArray[Any]:
    """Return an array from a `.npy` file; a pickle is never opened.

    Args:
        path: The file.
        mapped: Whether it is mapped and cannot be written to, or read whole.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        array: npt.NDArray[Any] = np.load(
            path, allow_pickle=False, mmap_mode="r" if mapped else None
        )
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None
    return array.view(np.ndarray)


def release(arrays: Iterable[npt.NDArray[Any]]) -> None:
    """Give back the memory that mapped arrays have taken; it is read again when it is needed."""
    for array in arrays:
        base = array.base
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, memoryview):
            base = base.obj
        if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
            base.madvise(mmap.MADV_DONTNEED)
