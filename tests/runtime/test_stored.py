"""The records of a file, read again by number: whatever its layout, and not once it has changed."""

import gzip
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.collection.decoding import LONGEST
from glane.collection.rows import Rows
from glane.collection.stored import Stored

RECORDS = [{"a": "tea\n", "b": 1}, {"a": "お茶"}, {"a": " "}, {}]


def as_lines(end: str = "\n") -> bytes:
    return end.join(json.dumps(record, ensure_ascii=False) for record in RECORDS).encode()


FILES: dict[str, tuple[bytes, bool]] = {
    "lines.jsonl": (as_lines(), False),
    "an-end-and-blanks.jsonl": (b"\n \n" + as_lines("\n\n\t\n") + b"\n\n", False),
    "mark-and-crlf.jsonl": (b"\xef\xbb\xbf" + as_lines("\r\n"), False),
    "no-name": (as_lines(), False),
    "old-mac.jsonl": (as_lines("\r"), True),
    "packed.jsonl.gz": (gzip.compress(as_lines()), True),
    "array.json": (json.dumps(RECORDS).encode(), True),
    "utf-16.jsonl": (as_lines().decode().encode("utf-16"), True),
}


@pytest.mark.parametrize("name", FILES)
def test_records_are_read_again_by_number(tmp_path: Path, name: str) -> None:
    content, is_copied = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    rows = Rows(path)
    stored = Stored(rows)
    assert list(stored.read()) == RECORDS
    assert stored.is_copied == is_copied
    assert (stored.n_copied() > 0) == is_copied
    assert [stored[number] for number in (3, 1, 0, 2)] == [RECORDS[n] for n in (3, 1, 0, 2)]
    assert len(stored) == len(RECORDS)
    places = [rows.place(number) for number, _ in rows]
    assert [stored.place(number) for number in range(len(RECORDS))] == places


def test_a_table_is_copied_and_a_pipe_read_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a;b\n"x\ny";1\nz;2\n')
    stored = Stored(Rows(tmp_path / "t.csv"))
    assert list(stored.read()) == [{"a": "x\ny", "b": "1"}, {"a": "z", "b": "2"}]
    assert stored[1] == {"a": "z", "b": "2"}
    assert stored.place(1).endswith("line 4")


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text()), max_size=6))
def test_any_texts_come_back(records: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        stored = Stored(Rows(path))
        assert list(stored.read()) == records
        assert [stored[number] for number in range(len(stored))] == records


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n")
    stored = Stored(Rows(path))
    assert list(stored.read()) == []
    assert len(stored) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(as_lines() + b"\n{}"),
        lambda path: path.write_bytes(as_lines()[:-3]),
        lambda path: os.utime(path, ns=(1, 1)),
    ],
    ids=["longer", "shorter", "written again"],
)
def test_a_file_that_changes_is_told(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(as_lines())
    stored = Stored(Rows(path))
    list(stored.read())
    change(path)
    with pytest.raises(ValueError, match=r"lines.jsonl' was changed while it was in use"):
        stored[0]


def test_a_file_that_is_replaced_or_gone_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(as_lines())
    stored = Stored(Rows(path))
    list(stored.read())
    path.unlink()
    assert stored[1] == RECORDS[1]


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(as_lines())
    records = Stored(Rows(path)).read()
    next(records)
    path.write_bytes(as_lines() + b"\n")
    with pytest.raises(ValueError, match="was changed"):
        list(records)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2: not JSON: "),
        (b'{"a": 1}\n\n[1]\n', "line 3: must be an object, got list"),
        (b'{"a": 1}\n{"a": 1} {}\n', "line 2: not JSON: Extra data"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: not UTF-8: byte 0xff"),
        (b'{"a": 1}\n{"a": "' + b"x" * LONGEST, "line 2: does not end for"),
    ],
    ids=["cut", "list", "two", "bytes", "endless"],
)
def test_a_mistake_is_placed_as_rows_place_it(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    for read in (Stored(Rows(path)).read, Rows(path).__iter__):
        with pytest.raises(ValueError, match=f"lines.jsonl', {re.escape(complaint)}"):
            list(read())


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    found = []
    for name, content in (("a", as_lines()), ("b", as_lines()), ("c", as_lines("\n\n"))):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(content)
        stored = Stored(Rows(path))
        list(stored.read())
        found.append(stored.fingerprint())
    assert found[0] == found[1] != found[2]
