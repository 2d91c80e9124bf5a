"""The ragged containers against lists of lists, zero sizes first."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.errors import CheckpointError
from glane.maxsim.quantization import CodedVectors
from glane.ragged import groups, join_lengths, join_offsets, take_rows
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


ONE, TWO = np.array([0, 1]), np.array([0, 2])
HALF, SINGLE, DOUBLE = np.float16, np.float32, np.float64


@pytest.mark.parametrize("offsets", [[], [0], [0, 3], [1, 2], [0, 2, 1], [-1, 2], [2]], ids=str)
def test_offsets_that_do_not_fit_the_values_are_refused(offsets: list[int]) -> None:
    cuts = np.array(offsets, np.int64)
    with pytest.raises(ValueError, match="must begin with 0"):
        SparseVectors(cuts, np.arange(2, dtype=np.int32), np.ones(2, SINGLE))
    with pytest.raises(ValueError, match="must begin with 0"):
        TokenVectors(cuts, np.ones((2, 3), SINGLE))
    with pytest.raises(ValueError, match="must begin with 0"):
        CodedVectors(cuts, np.ones((2, 3), np.int8), np.ones(2, HALF))


WRONG: dict[str, tuple[type, tuple[Any, ...], type[Exception], str]] = {
    "a list for an array": (TokenVectors, ([0, 1], np.ones((1, 3))), TypeError, "got list"),
    "floats as offsets": (TokenVectors, (ONE * 1.0, np.ones((1, 3))), ValueError, "got float64"),
    "offsets of 2 axes": (TokenVectors, (ONE[None], np.ones((1, 3))), ValueError, "along 1 axis"),
    "one vector": (TokenVectors, (TWO, np.ones(2)), ValueError, r"along 2 axes, got float64"),
    "integers as vectors": (TokenVectors, (ONE, np.ones((1, 3), int)), ValueError, "hold floats"),
    "objects": (TokenVectors, (ONE, np.array([[None]])), ValueError, "hold floats .* got object"),
    "complex numbers": (TokenVectors, (ONE, np.ones((1, 2), complex)), ValueError, "hold floats"),
    "fewer weights than terms": (SparseVectors, (TWO, TWO, np.ones(1)), ValueError, "2 indices"),
    "floats as terms": (SparseVectors, (ONE, np.ones(1), np.ones(1)), ValueError, "hold integers"),
    "terms beyond int32": (SparseVectors, (ONE, np.array([2**31]), np.ones(1)), ValueError, "fit"),
    "booleans as counts": (SparseVectors, (ONE, ONE[:1], np.array([True])), ValueError, "numbers"),
    "other terms": (TermEmbeddings, (ONE, np.ones((1, 3))), TypeError, "must be SparseVectors"),
    "floats as codes": (CodedVectors, (ONE, np.ones((1, 3)), np.ones(1, HALF)), ValueError, "int"),
    "fewer scales": (
        CodedVectors,
        (ONE, np.ones((1, 3), np.int8), np.ones(0)),
        ValueError,
        "0 sca",
    ),
}


@pytest.mark.parametrize(("made", "given", "error", "message"), WRONG.values(), ids=WRONG.keys())
def test_arrays_of_another_form_are_refused(
    made: type, given: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        made(*given)


def test_embeddings_and_terms_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="got 3 embeddings for 2 terms"):
        TermEmbeddings(sparse([[1, 2]]), np.ones((3, 2), SINGLE))


@given(RAGGED, st.sampled_from([np.int64, np.int32, np.uint8, np.uint64]))
def test_numbers_of_other_types_become_the_types_told(rows: Lists, kind: type) -> None:
    wanted = sparse(rows)
    numbers: Any = wanted.indptr.astype(kind), wanted.indices.astype(kind)
    given: Any = (*numbers, wanted.values.astype(DOUBLE))
    assert sparse_lists(SparseVectors(*given)) == rows
    both = TokenVectors(given[0], tokens(rows).values.astype(DOUBLE))
    assert token_lists(both) == rows
    assert both.values.dtype == SINGLE


@pytest.mark.parametrize("rows", [0, -1, np.int64(0), None, 1.0, np.zeros((1, 1), int)], ids=str)
def test_a_single_row_is_taken_by_a_slice(rows: Any) -> None:  # noqa: ANN401
    for vectors in (sparse([[1]]), tokens([[1]]), embedded([[1]])):
        with pytest.raises(TypeError, match=r"rows are taken by a slice .* as in \[0:1\]; got"):
            vectors[rows]


def test_lists_and_masks_take_rows_too() -> None:
    vectors: Any = sparse([[1], [2], [3]])
    assert sparse_lists(vectors[[2, 0]]) == [[3], [1]]
    assert sparse_lists(vectors[(2, 0)]) == [[3], [1]]
    assert sparse_lists(vectors[np.array([True, False, True])]) == [[1], [3]]
    assert sparse_lists(vectors[[]]) == []


def test_what_is_too_large_for_half_becomes_infinite_without_a_warning() -> None:
    assert np.isinf(TokenVectors(ONE, np.full((1, 2), 7e4, SINGLE)).half().values).all()
    assert np.isinf(TokenVectors(ONE, np.full((1, 2), 1e300)).values).all()


def test_vectors_are_shown_in_a_line_without_their_numbers() -> None:
    assert repr(sparse([[1, 2], []])) == "SparseVectors(2 rows, 2 terms)"
    assert repr(tokens([[1, 2], []])) == "TokenVectors(2 rows, 2 tokens of width 2, float32)"
    assert repr(embedded([[7]]).half()) == "TermEmbeddings(1 rows, 1 terms of width 2, float16)"
    coded = CodedVectors(TWO, np.ones((2, 3), np.uint8), np.ones(2, HALF))
    assert repr(coded) == "CodedVectors(1 rows, 2 tokens of width 6, uint8)"


def test_a_saved_array_of_another_form_is_damage(tmp_path: Path) -> None:
    tokens([[1, 2]]).save(tmp_path)
    np.save(tmp_path / "values.npy", np.ones(2, SINGLE))
    with pytest.raises(CheckpointError, match="is damaged: values must hold floats along 2 axes"):
        TokenVectors.load(tmp_path)
    embedded([[1, 2]]).save(tmp_path)
    np.save(tmp_path / "indptr.npy", np.array([1, 2]))
    with pytest.raises(CheckpointError, match="is damaged: indptr must begin with 0"):
        TermEmbeddings.load(tmp_path)


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 65535, 65536, 2**32, 2**48 + 1])),
    st.sampled_from([np.int32, np.int64, np.uint64]),
)
def test_groups_are_those_of_a_stable_sort(keys: list[int], dtype: type[np.integer[Any]]) -> None:
    array = np.array([key & np.iinfo(dtype).max for key in keys], dtype)
    order, begins = groups(array)
    assert order.tolist() == np.argsort(array, kind="stable").tolist()
    assert begins.tolist() == np.unique(array[order], return_index=True)[1].tolist()


def test_keys_of_all_bits_are_sorted() -> None:
    keys = np.array([2**63, 5, 2**63, 0, 5], np.uint64)
    order, begins = groups(keys)
    assert order.tolist() == [3, 1, 4, 0, 2]
    assert begins.tolist() == [0, 1, 3]
    order, begins = groups(keys[:0])
    assert (order.tolist(), begins.tolist()) == ([], [])
