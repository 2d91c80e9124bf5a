"""The ragged containers against lists of lists, zero sizes first."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.errors import CheckpointError
from glane.ragged import join_lengths, join_offsets, take_rows
from glane.store.arrays import read_array
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors

RAGGED = st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=6)
BOUND = st.none() | st.integers(-8, 8)
SLICES = st.builds(slice, BOUND, BOUND, st.sampled_from([None, 1, 2, -1, -3]))

Lists = list[list[int]]


def sparse(rows: Lists) -> SparseVectors:
    values = [value for row in rows for value in row]
    return SparseVectors(
        join_lengths([len(row) for row in rows]),
        np.array(values, np.int32),
        np.array(values, np.float32) * np.float32(0.25),
    )


def tokens(rows: Lists, dim: int = 2) -> TokenVectors:
    values = np.array([value for row in rows for value in row], np.float32)
    return TokenVectors(join_lengths([len(row) for row in rows]), np.tile(values, (dim, 1)).T)


def embedded(rows: Lists, dim: int = 2) -> TermEmbeddings:
    return TermEmbeddings(sparse(rows), tokens(rows, dim).values)


def embedded_lists(vectors: TermEmbeddings) -> Lists:
    rows = sparse_lists(vectors.terms)
    assert (vectors.embeddings == vectors.terms.indices[:, None]).all()
    assert len(vectors) == len(rows)
    return rows


def sparse_lists(vectors: SparseVectors) -> Lists:
    assert vectors.indptr[0] == 0
    assert vectors.indptr.dtype == np.int64
    assert vectors.indices.dtype == np.int32
    assert vectors.values.dtype == np.float32
    assert (vectors.values * 4 == vectors.indices).all()
    cuts = zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True)
    return [vectors.indices[low:high].tolist() for low, high in cuts]


def token_lists(vectors: TokenVectors) -> Lists:
    assert vectors.offsets[0] == 0
    assert vectors.offsets.dtype == np.int64
    assert (vectors.values == vectors.values[:, :1]).all()
    cuts = zip(vectors.offsets[:-1], vectors.offsets[1:], strict=True)
    return [vectors.values[low:high, 0].tolist() for low, high in cuts]


@given(RAGGED)
def test_length_is_the_number_of_rows(rows: Lists) -> None:
    assert len(sparse(rows)) == len(tokens(rows)) == len(rows)
    assert sparse_lists(sparse(rows)) == token_lists(tokens(rows)) == rows


@given(RAGGED, SLICES)
def test_a_slice_takes_what_a_list_gives(rows: Lists, chosen: slice) -> None:
    assert sparse_lists(sparse(rows)[chosen]) == rows[chosen]
    assert embedded_lists(embedded(rows)[chosen]) == rows[chosen]
    assert token_lists(tokens(rows)[chosen]) == rows[chosen]


@given(RAGGED, st.data())
def test_numbers_take_rows_in_the_order_given(rows: Lists, data: st.DataObject) -> None:
    limit = len(rows)
    numbers = data.draw(st.lists(st.integers(-limit, limit - 1), max_size=8)) if rows else []
    chosen = np.array(numbers, np.int64)
    assert sparse_lists(sparse(rows)[chosen]) == [rows[number] for number in numbers]
    assert embedded_lists(embedded(rows)[chosen]) == [rows[number] for number in numbers]
    assert token_lists(tokens(rows)[chosen]) == [rows[number] for number in numbers]


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        sparse([[1], [2]])[np.array([2])]


def test_a_plain_slice_copies_nothing() -> None:
    vectors = tokens([[1, 2], [], [3]])
    assert np.shares_memory(vectors[1:].values, vectors.values)
    offsets, positions = take_rows(vectors.offsets, slice(1, None))
    assert offsets.tolist() == [0, 0, 1]
    assert positions == slice(2, 3)


@given(st.lists(RAGGED, max_size=4))
def test_parts_put_together_are_one_list(parts: list[Lists]) -> None:
    rows = [row for part in parts for row in part]
    assert sparse_lists(SparseVectors.concatenate([sparse(part) for part in parts])) == rows
    assert join_offsets([sparse(part).indptr for part in parts]).tolist() == (
        sparse(rows).indptr.tolist()
    )
    if parts:
        assert token_lists(TokenVectors.concatenate([tokens(part) for part in parts])) == rows
        together = TermEmbeddings.concatenate([embedded(part) for part in parts])
        assert embedded_lists(together) == rows


def test_no_token_vectors_cannot_be_put_together() -> None:
    with pytest.raises(ValueError, match="at least one TokenVectors, got none"):
        TokenVectors.concatenate([])
    with pytest.raises(ValueError, match="at least one TermEmbeddings, got none"):
        TermEmbeddings.concatenate([])


ODD: list[Lists] = [[], [[]], [[], []], [[], [5], []], [[1, 2], [3], [], [4, 5, 6]]]


@pytest.mark.parametrize("rows", ODD, ids=str)
def test_saved_rows_come_back(rows: Lists, tmp_path: Path) -> None:
    sparse(rows).save(tmp_path / "deep" / "sparse")
    tokens(rows).save(tmp_path / "tokens")
    embedded(rows, 3).half().save(tmp_path / "embedded")
    both = TermEmbeddings.load(tmp_path / "embedded")
    assert embedded_lists(both) == rows
    assert both.dim == 3
    assert both.embeddings.dtype == np.float16
    assert both.half().embeddings is both.embeddings
    assert sparse_lists(SparseVectors.load(tmp_path / "deep" / "sparse")) == rows
    loaded = TokenVectors.load(str(tmp_path / "tokens"))
    assert token_lists(loaded) == rows
    assert loaded.dim == 2
    assert token_lists(loaded[::-1]) == rows[::-1]


@pytest.mark.parametrize("dim", [0, 1, 7])
def test_precision_and_width_survive_the_disk(dim: int, tmp_path: Path) -> None:
    halved = tokens([[1], [2, 3]], dim).half()
    halved.save(tmp_path)
    loaded = TokenVectors.load(tmp_path)
    assert loaded.values.dtype == np.float16
    assert loaded.values.shape == (3, dim)
    assert loaded.dim == dim


def test_half_keeps_what_is_half_already() -> None:
    halved = tokens([[1, 2]]).half()
    assert halved.half().values is halved.values


def test_mapped_vectors_can_be_saved_where_they_came_from(tmp_path: Path) -> None:
    rows = [list(range(1000))] * 100
    tokens(rows).save(tmp_path)
    mapped = TokenVectors.load(tmp_path)
    mapped.save(tmp_path)
    assert token_lists(mapped) == rows
    assert token_lists(TokenVectors.load(tmp_path)) == rows
    assert sorted(file.name for file in tmp_path.iterdir()) == ["offsets.npy", "values.npy"]


DAMAGED: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "garbage": b"garbage" * 50,
    "cut": b"\x93NUMPY\x01\x00v\x00{'descr'",
}


@pytest.mark.parametrize("name", ["offsets", "values"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_named(name: str, content: bytes | None, tmp_path: Path) -> None:
    tokens([[1, 2]]).save(tmp_path)
    if content is None:
        (tmp_path / f"{name}.npy").unlink()
    else:
        (tmp_path / f"{name}.npy").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}\.npy' cannot be read: "):
        TokenVectors.load(tmp_path)


def test_terms_and_values_are_shown_by_name() -> None:
    shown = sparse([[2, 1], [], [3]]).to_dicts(str)
    assert shown == [{"2": 0.5, "1": 0.25}, {}, {"3": 0.75}]
    assert sparse([]).to_dicts(str) == []


def test_arrays_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    sparse([[1, 2], [3]]).save(tmp_path)
    np.save(tmp_path / "values.npy", np.ones(2, np.float32))
    with pytest.raises(CheckpointError, match="is damaged: its arrays are of different lengths"):
        SparseVectors.load(tmp_path)
    np.save(tmp_path / "indptr.npy", np.empty(0, np.int64))
    with pytest.raises(CheckpointError, match="is damaged"):
        SparseVectors.load(tmp_path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    tokens([[1]]).save(tmp_path)
    np.save(tmp_path / "values.npy", np.array([[Trap()]]), allow_pickle=True)
    with pytest.raises(CheckpointError, match="cannot be read: "):
        TokenVectors.load(tmp_path)
    (tmp_path / "values.npy").write_bytes(pickle.dumps(Trap()))
    for mapped in (True, False):
        with pytest.raises(CheckpointError, match="cannot be read: "):
            read_array(tmp_path / "values.npy", mapped=mapped)
    assert not (tmp_path / "sprung").exists()
