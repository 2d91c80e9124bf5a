"""The one reader of files: layouts, encodings, packing, pipes, and what is wrong by its line."""

import bz2
import csv
import datetime
import decimal
import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glane.collection import decoding, parsing
from glane.collection.rows import Rows

Record = dict[str, Any]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, name: str, content: str | bytes, *columns: tuple[str, ...]) -> list[Any]:
    return list(Rows(written(folder, name, content), *columns))


LINES = '{"id": 1, "text": "tea"}\n\n \n{"id": 2, "text": "sea"}'
ARRAY = '[{"id": 1, "text": "tea"},\n\n \n{"id": 2, "text": "sea"}]'
PRETTY = '[\n{\n "id": 1,\n "text": "tea"},\n {"id": 2,\n"text": "sea"}\n]\n'
TABLE = "id,text\n1,tea\n\n2,sea\n"

OBJECTS = [{"id": 1, "text": "tea"}, {"id": 2, "text": "sea"}]
CELLS = [{"id": "1", "text": "tea"}, {"id": "2", "text": "sea"}]

GOOD: list[tuple[str, str, list[int], list[Record]]] = [
    ("x.jsonl", LINES, [1, 4], OBJECTS),
    ("x.ndjson", LINES, [1, 4], OBJECTS),
    ("x.json", LINES, [1, 4], OBJECTS),
    ("x", LINES, [1, 4], OBJECTS),
    ("x.json", ARRAY, [1, 4], OBJECTS),
    ("x.json", PRETTY, [2, 5], OBJECTS),
    ("x.jsonl", ARRAY, [1, 4], OBJECTS),
    ("x", PRETTY, [2, 5], OBJECTS),
    ("x.csv", ARRAY, [1, 4], OBJECTS),
    ("x.csv", TABLE, [2, 4], CELLS),
    ("x", TABLE, [2, 4], CELLS),
    ("x.jsonl", TABLE, [2, 4], CELLS),
    ("x.csv", TABLE.replace(",", ";"), [2, 4], CELLS),
    ("x.csv", TABLE.replace(",", "|"), [2, 4], CELLS),
    ("x.tsv", TABLE.replace(",", "\t"), [2, 4], CELLS),
    ("x.tsv", TABLE, [2, 4], CELLS),
    ("x.csv", "sep=|\r\n" + TABLE.replace(",", "|"), [3, 5], CELLS),
    ("x.csv", TABLE + ",\n\n", [2, 4], CELLS),
    ("x.csv", " id , text \n1,tea\n\n2,sea\n", [2, 4], CELLS),
    ("x.csv", '"id",text\n1,"tea"\n\n2,"sea"\n', [2, 4], CELLS),
    ("x.csv", "id,text,,\n1,tea,,\n\n2,sea,,\n", [2, 4], CELLS),
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "crlf", "gzip", "returns"]


def encoded(text: str, encoding: str) -> bytes:
    if encoding == "crlf":
        return text.replace("\r", "").replace("\n", "\r\n").encode()
    if encoding == "returns":
        return text.replace("\r", "").replace("\n", "\r").encode()
    return gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("number", range(len(GOOD)))
def test_a_layout_is_read_in_any_encoding(number: int, encoding: str, tmp_path: Path) -> None:
    name, text, numbers, records = GOOD[number]
    expected = list(zip(numbers, records, strict=True))
    rows = Rows(written(tmp_path, name, encoded(text, encoding)))
    assert list(rows) == expected
    assert list(rows) == expected, "and again"
    packed = written(tmp_path, f"{name}.GZ", gzip.compress(encoded(text, encoding)))
    if encoding in ("utf-8", "crlf"):
        assert [record for _, record in Rows(packed)] == records


@pytest.mark.parametrize(
    "text", ["", "\n", " \r\n\t\n", "\ufeff", "\ufeff\n"], ids=["0", "1", "2", "mark", "mark 1"]
)
@pytest.mark.parametrize("name", ["x", "x.jsonl", "x.json", "x.csv", "x.tsv"])
def test_a_blank_file_has_no_records(name: str, text: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, text) == []
    assert read(tmp_path, f"{name}.gz", gzip.compress(text.encode())) == []


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('id,text\n1,"a, b"\n', [(2, ["1", "a, b"])]),
        ('id,text\n1,"a\nb\n\nc"\n2,d\n', [(2, ["1", "a\nb\n\nc"]), (6, ["2", "d"])]),
        ('id,text\n1,"say ""tea"""\n', [(2, ["1", 'say "tea"'])]),
        ('id,text\n1,5" disk\n', [(2, ["1", '5" disk'])]),
        ("id,text\n1,\n,x\n", [(2, ["1", ""]), (3, ["", "x"])]),
        (
            "id;text\n1;Hello, world, again\n2;x\n",
            [(2, ["1", "Hello, world, again"]), (3, ["2", "x"])],
        ),
        ("id;text\n1;2,5\n2;3,5\n", [(2, ["1", "2,5"]), (3, ["2", "3,5"])]),
        ("[id],text\n1,x\n", [(2, ["1", "x"])]),
        ("{id},text\n1,x\n", [(2, ["1", "x"])]),
        ("id\ttext\n1\tx, y; z|\n", [(2, ["1", "x, y; z|"])]),
        ('id\ttext\n1\t"tea" is\n2\t"Sea\n', [(2, ["1", '"tea" is']), (3, ["2", '"Sea'])]),
        ('id\ttext\n1\t"tea\nis"\n2\tx\n', [(2, ["1", "tea\nis"]), (4, ["2", "x"])]),
    ],
)
def test_cells_are_what_a_spreadsheet_shows(text: str, rows: list[Any], tmp_path: Path) -> None:
    for name in ("x", "x.csv", "x.tsv"):
        found = read(tmp_path, name, text)
        assert [(number, list(record.values())) for number, record in found] == rows


def test_a_very_long_cell_is_read(tmp_path: Path) -> None:
    long = "tea " * 500_000
    assert read(tmp_path, "x.csv", f'id,text\n1,"{long}"\n') == [(2, {"id": "1", "text": long})]
    assert read(tmp_path, "x.tsv", f"1\t{long}\n", ("id", "text")) == [
        (1, {"id": "1", "text": long})
    ]
    assert read(tmp_path, "x.json", json.dumps([{"t": long}])) == [(1, {"t": long})]


def test_one_column_is_a_table_where_the_name_says_so(tmp_path: Path) -> None:
    assert read(tmp_path, "x.csv", "text\ntea\n\nsea, far\n") == [
        (2, {"text": "tea"}),
        (4, {"text": "sea, far"}),
    ]


def test_the_index_that_pandas_writes_is_a_column_without_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, "x.csv", ",id\n0,a\n") == [(2, {"": "0", "id": "a"})]


MARCO = ("_id", "text")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7\tgreen tea\n", [(1, {"_id": "7", "text": "green tea"})]),
        ('7\t"green" tea, "sea\n', [(1, {"_id": "7", "text": '"green" tea, "sea'})]),
        ("q1\ttea\n", [(1, {"_id": "q1", "text": "tea"})]),
        ("_id\ttext\n7\tx\n", [(2, {"_id": "7", "text": "x"})]),
        ("text\t_id\nx\t7\n", [(2, {"text": "x", "_id": "7"})]),
        ("docid\tcontents\n7\tx\n", [(2, {"docid": "7", "contents": "x"})]),
        (
            "7\thttp://a\ttea\tleaf\n",
            [(1, {"_id": "7", "url": "http://a", "t": "tea", "b": "leaf"})],
        ),
    ],
)
def test_a_table_without_a_header_has_the_columns_that_are_told(
    text: str,
    expected: list[Any],
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "collection.tsv", text, MARCO, ("_id", "url", "t", "b")) == expected


BAD: list[tuple[str, str | bytes, str]] = [
    ("x.json", "[1]", "x.json', line 1: must be an object, got int"),
    ("x.json", '[{"a": 1},\n"tea"]', "line 2: must be an object, got str"),
    ("x.json", "[[1, 2]]", "line 1: must be an object, got list"),
    ("x.json", '[{"a": 1},\n', "line 2: not JSON: Expecting value where the file ends"),
    ("x.json", '[{"a": 1}\n', "line 2: not JSON: expected a comma or the end of the array, but"),
    ("x.json", '[{"a": 1}\n{"a": 2}]', "line 2: not JSON: expected a comma or the end"),
    ("x.json", '[{"a": 1},\n]', "line 2: not JSON: Expecting value"),
    ("x.json", '[{"a": 1,\n"b": tea}]', "line 2: not JSON: Expecting value"),
    ("x.json", '[{"a": "1}]', "line 1: not JSON: Unterminated string"),
    ("x.json", '[{"a": 1}]\n[', "line 2: not JSON: something follows the array"),
    ("x.json", '[{"a": ' * 100_000, "line 1: not JSON: "),
    ("x.jsonl", '{"a": 1}\n{"b": ' + "[" * 100_000, "line 2: not JSON: "),
    ("x.json", '{\n "a": 1\n}\n', "line 1: not JSON: .*each object must be on one line"),
    ("x.jsonl", '{"a": 1}\ntea\n', "line 2: not JSON: "),
    ("x.jsonl", '{"a": 1}{"a": 2}\n', "line 1: not JSON: Extra data"),
    ("x.jsonl", "[]", "line 1: must be an object, got list"),
    ("x.jsonl", "null", "line 1: must be an object, got NoneType"),
    ("x.csv", "id,id\n1,2\n", "line 1: the column 'id' appears twice"),
    ("x.csv", "id,,\n1,,x\n", r"line 2: has cells in columns without a name: \['', 'x'\]"),
    ("x.csv", "id,text\n1,2\n\n1\n", r"line 4: has 1 cells, but there are 2 columns, \['id', 'te"),
    ("x.csv", 'id,text\n1,"a\nb"\n1,2,3\n', "line 4: has 3 cells, but there are 2 columns"),
    ("x.csv", 'id,text\n1,"tea\n', "line 2: a quoted cell begins here and does not end"),
    ("x.csv", 'id,text\n1,"tea"s\n', "line 2: a quote inside a quoted cell must be doubled"),
    ("x.csv", "id,text\n1,a\rb\n", "line 2: a carriage return in a cell that is not quoted"),
    ("x.csv", "id;text\n1;tée\n".encode("cp1252"), "line 2: not UTF-8: byte 0xe9: .*CSV UTF-8"),
    ("x.csv", "id;text\n1;té".encode("cp1252"), "line 2: not UTF-8: byte 0xe9: "),
    ("x.jsonl", b'{"a": 1}\n{"a": "\xff"}', "line 2: not UTF-8: byte 0xff"),
    ("x.csv", "a,b\n1,2\n".encode("utf-16-le"), "has NUL bytes: it is not text, or UTF-16"),
    ("x.csv", "a,b\n1,2\n".encode("utf-16")[:-1], "not UTF-16-LE: truncated data"),
    ("x", "tea\nsea\n", "x' is neither JSON nor a table: its first line has none of , ; | and no"),
    ("x.csv", "<!DOCTYPE html><p>", "x.csv' is HTML or XML; expected JSON lines"),
    ("x.json", '\n<?xml version="1.0"?>', "x.json' is HTML or XML"),
    ("x.csv", b"PK\x03\x04" + bytes(40), "x.csv' is a zip archive or an Excel workbook; "),
    ("x.csv", b"\xd0\xcf\x11\xe0" + bytes(40), "is an Excel workbook; save it as CSV UTF-8"),
    ("x.jsonl.bz2", bz2.compress(b'{"a": 1}'), "is packed with bzip2; "),
    ("x.jsonl.gz", gzip.compress(gzip.compress(b'{"a": 1}')), "is packed with gzip twice"),
    ("x.jsonl.gz", gzip.compress(b'{"a": 1}' * 999)[:-9], "is damaged, or cut off: "),
    ("x.jsonl.gz", gzip.compress(b'{"a": 1}')[:-8] + bytes(8), "is damaged, or cut off: "),
    ("x.gz", b"\x1f\x8b", "is damaged, or cut off: "),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_is_wrong_is_one_line(number: int, tmp_path: Path) -> None:
    name, content, message = BAD[number]
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, name, content)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=r"' is a folder; expected a file"):
        list(Rows(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"x' is not a file"):
        list(Rows(tmp_path / "x"))


def test_a_record_is_called_by_its_file_and_line(tmp_path: Path) -> None:
    rows = Rows(written(tmp_path, "x.csv", TABLE))
    assert rows.place(2) == f"{str(tmp_path / 'x.csv')!r}, line 2"
    assert Rows("-").place(7) == "standard input, line 7"


def test_numbers_that_json_lacks_are_read_as_before(tmp_path: Path) -> None:
    for name, text in (("x.jsonl", '{"a": Infinity}'), ("x.json", '[{"a": Infinity}]')):
        assert read(tmp_path, name, text) == [(1, {"a": float("inf")})]


@pytest.mark.parametrize("content", [LINES.encode(), gzip.compress(ARRAY.encode()), TABLE.encode()])
def test_a_pipe_is_read_as_often_as_asked_for(content: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    rows = Rows(f"/dev/fd/{reader}")
    first = iter(rows)
    assert next(first)[1]["text"] == "tea"
    assert [record["text"] for _, record in rows] == ["tea", "sea"]
    assert [record["text"] for _, record in first] == ["sea"], "beside the other"
    os.close(reader)


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
@pytest.mark.parametrize("content", [TABLE, ""], ids=["table", "nothing"])
def test_standard_input_is_read(path: str, content: str) -> None:
    code = (
        "import sys; from glane.collection.rows import Rows; rows = Rows(sys.argv[1]);"
        "print([record['text'] for _, record in [*rows, *rows]])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path],
        input=content,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == (str(["tea", "sea"] * 2 if content else []), "")


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=6),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 40),
)
def test_an_array_is_the_records_wherever_blocks_end(
    records: list[Record], indent: int | None, is_ascii: bool, block: int
) -> None:
    text = json.dumps(records, indent=indent, ensure_ascii=is_ascii)
    content = text.encode("utf-8", "surrogatepass" if is_ascii else "replace")
    expected = json.loads(content)
    with pytest.MonkeyPatch.context() as patched:
        for module in (decoding, parsing):
            patched.setattr(module, "BLOCK", block)
        patched.setattr(decoding, "HEAD", 1)
        texts = decoding.decoded(io.BytesIO(content), "x")
        found = list(parsing.read_array(texts, lambda number: f"line {number}"))
    assert [record for _, record in found] == expected
    lines = text.split("\n")
    for number, _ in found:
        assert lines[number - 1].lstrip("[ ").startswith("{") or indent is None


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(CELL, CELL, st.just("x")), min_size=1, max_size=6),
    st.sampled_from(",;|\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
)
def test_a_table_is_what_was_written(
    cells: list[tuple[str, str, str]], delimiter: str, end: str, block: int
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "text", "more"), *cells])
    content = file.getvalue().encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decoding, "BLOCK", block)
        from glane.collection.tables import read_table

        texts = decoding.decoded(io.BytesIO(content), "x")
        found = list(read_table(texts, str, "x", []))
    assert [tuple(record.values()) for _, record in found] == cells


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ab\n\r\u2028\x85é"), max_size=5).map("".join), st.integers(1, 9))
def test_lines_are_those_that_an_editor_counts(text: str, block: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decoding, "BLOCK", block)
        found = list(decoding.lines(decoding.decoded(io.BytesIO(text.encode()), "x"), "x"))
    if "\n" in text[: max(1, block // 3)] or "\r" not in text:
        assert "".join(found) == text
        assert found == [line + "\n" for line in text.split("\n")[:-1]] + [
            rest for rest in [text.rpartition("\n")[2]] if rest
        ]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv"])
def test_one_record_is_in_memory_at_a_time(name: str, tmp_path: Path) -> None:
    n_records = 60_000
    text = "tea " * 25
    records = ({"id": number, "text": text} for number in range(n_records))
    with (tmp_path / name).open("w") as file:
        file.writelines(_written(name, records))
    tracemalloc.start()
    assert sum(1 for _ in Rows(tmp_path / name)) == n_records
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (tmp_path / name).stat().st_size / 2


def _written(name: str, records: Iterator[Record]) -> Iterator[str]:
    if name == "x.csv":
        yield "id,text\n"
    for number, record in enumerate(records):
        if name == "x.csv":
            yield f"{record['id']},{record['text']}\n"
        elif name == "x.json":
            yield ("," if number else "[") + json.dumps(record)
        else:
            yield json.dumps(record) + "\n"
    if name == "x.json":
        yield "]"


def test_a_file_whose_records_do_not_end_is_refused_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decoding, parsing):
        monkeypatch.setattr(module, "LONGEST", 1000)
        monkeypatch.setattr(module, "BLOCK", 100)
    monkeypatch.setattr(decoding, "HEAD", 100)
    for name, text in (("x.jsonl", '{"a": "'), ("x.json", '[{"a": "')):
        with pytest.raises(ValueError, match=r"line 1: (no value|does not) ends? "):
            read(tmp_path, name, text + "tea " * 1000)


def test_parquet_is_read_by_its_rows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra data")
    import pyarrow.parquet

    table = pyarrow.table(
        {
            "id": [1, 2],
            "text": ["tea", None],
            "negatives": [["a", "b"], []],
            "meta": [{"day": "x"}, None],
            "at": [datetime.date(2020, 1, 2), None],
            "price": [decimal.Decimal("1.50"), None],
        }
    )
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=1)
    expected = [
        (
            1,
            {
                "id": 1,
                "text": "tea",
                "negatives": ["a", "b"],
                "meta": {"day": "x"},
                "at": "2020-01-02",
                "price": "1.50",
            },
        ),
        (
            2,
            {"id": 2, "text": None, "negatives": [], "meta": None, "at": None, "price": None},
        ),
    ]
    rows = Rows(path)
    assert list(rows) == expected
    assert rows.place(2) == f"{str(path)!r}, row 2"
    assert list(Rows(written(tmp_path, "x.csv", path.read_bytes()))) == expected
    assert list(Rows(written(tmp_path, "y.gz", gzip.compress(path.read_bytes())))) == expected
    pyarrow.parquet.write_table(table.slice(0, 0), path)
    assert list(Rows(path)) == []
    with pytest.raises(ValueError, match=r"z' cannot be read as Parquet: "):
        read(tmp_path, "z", b"PAR1" + bytes(100))
    twice = pyarrow.Table.from_arrays([table["id"], table["id"]], names=["id", "id"])
    pyarrow.parquet.write_table(twice, path)
    with pytest.raises(ValueError, match="the column 'id' appears twice"):
        list(Rows(path))


def test_parquet_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glane.collection.parquet.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'glane\[data\]'"):
        read(tmp_path, "x.parquet", b"PAR1" + bytes(100))


def test_inches_between_tabs_swallow_no_row(tmp_path: Path) -> None:
    path = tmp_path / "sizes.tsv"
    path.write_text('_id\ttext\n1\t"5 disk\n2\tb\n3\tc"\n')
    assert [record["text"] for _, record in Rows(path)] == ['"5 disk', "b", 'c"']
    rows = "".join(f'{n}\t"a\nb"\n' for n in range(3))  # cells over lines, as CSV has them
    path.write_text(f"_id\ttext\n{rows}" + '8\t"5 disk\n9\tc"\n')
    with pytest.raises(ValueError, match="line 8: a cell begins with a quote and goes on over"):
        list(Rows(path))


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_first_document_longer_than_csv_allows_is_read(
    delimiter: str, quoted: bool, tmp_path: Path
) -> None:
    before = csv.field_size_limit(1000)
    try:
        path = tmp_path / "documents.csv"
        text = "word " * 1000
        cell = f'"{text}"' if quoted else text
        path.write_text(f"_id{delimiter}text\n1{delimiter}{cell}\n2{delimiter}b\n")
        assert [record["text"].strip() for _, record in Rows(path)] == [text.strip(), "b"]
    finally:
        csv.field_size_limit(before)
