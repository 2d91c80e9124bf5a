"""Ids as they are given: plain and numpy's strings and integers, and nothing else."""

import enum
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from glane import BM25, Search
from glane.collection.records import as_key, check_keys, read_records


class Number(enum.IntEnum):
    FIVE = 5


class Word(enum.StrEnum):
    TEA = "tea"


PLAIN: list[tuple[Any, str | int]] = [
    ("tea", "tea"),
    ("", ""),
    (5, 5),
    (-(10**30), -(10**30)),
    (np.int8(-5), -5),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.str_("tea"), "tea"),
    (Number.FIVE, 5),
    (Word.TEA, "tea"),
]
OTHER: list[Any] = [1.0, np.float64(1), True, np.bool_(False), None, b"tea", UUID(int=1), (1,), [1]]


@pytest.mark.parametrize(("given", "wanted"), PLAIN, ids=repr)
def test_an_id_becomes_plain(given: Any, wanted: str | int) -> None:  # noqa: ANN401
    for found in (as_key(given), check_keys([given])[0], read([given])[0]):
        assert found == wanted
        assert type(found) is type(wanted)


@pytest.mark.parametrize("given", OTHER, ids=repr)
def test_anything_else_is_refused_by_its_place(given: Any) -> None:  # noqa: ANN401
    assert as_key(given) is None
    message = f"position 1 must be a string or an integer, got {type(given).__name__}: "
    with pytest.raises(TypeError, match=message):
        check_keys(["a", given])
    with pytest.raises(ValueError, match=f"'id' of the document at {message}"):
        read(["a", given])
    assert given not in Search(BM25())


def read(keys: list[Any]) -> list[str | int]:
    records = [{"id": key, "text": "tea"} for key in keys]
    return read_records(records, "id", ["text"], first=True)[0]


@pytest.mark.parametrize("text", ["ab", np.str_("ab"), b"ab"], ids=repr)
def test_one_string_is_no_list_of_ids(text: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match="ids must be a list, got one string"):
        check_keys(text)


def test_ids_of_an_array_find_replace_and_delete_their_documents() -> None:
    search = Search(BM25())
    search.add([{"id": number, "text": "tea"} for number in np.arange(3)])
    assert search.search(["tea"]).ids == [[0, 1, 2]]
    assert np.int64(2) in search
    assert np.str_("2") not in search
    search.add([{"id": 1, "text": "coffee"}])
    search.delete(np.array([0, 2]))
    assert search.search(["tea", "coffee"]).ids == [[], [1]]
    with pytest.raises(ValueError, match="document 1 appears twice"):
        search.add([{"id": 1, "text": "tea"}, {"id": np.int32(1), "text": "tea"}])
