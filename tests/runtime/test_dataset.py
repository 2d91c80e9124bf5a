"""Collections from files: what is read, and how what is wrong is named."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from glane.collection.dataset import Dataset, read_beir, read_jsonl
from glane.collection.fields import join_fields

CORPUS: list[dict[str, object]] = [
    {"_id": "d1", "title": "Tea", "text": "A leaf."},
    {"_id": "d2", "title": "", "text": " No title "},
    {"_id": "1", "text": "", "metadata": {"url": "x"}},
]
QUERIES = [{"_id": "q1", "text": "tea?"}, {"_id": "q2", "text": "tea?"}, {"_id": "q3", "text": ""}]
HEADER = "query-id\tcorpus-id\tscore\n"


def lines(records: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(lines(CORPUS))
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES))
    (tmp_path / "qrels" / "test.tsv").write_text(HEADER + "q2\td2\t2\nq1\td1\t1\nq2\t1\t0\n")
    return tmp_path


def test_a_collection_is_read(folder: Path) -> None:
    expected = Dataset(
        corpus={"d1": "Tea A leaf.", "d2": "No title", "1": ""},
        queries={"q2": "tea?", "q1": "tea?"},
        judgements={"q2": {"d2": 2, "1": 0}, "q1": {"d1": 1}},
    )
    assert read_beir(folder, "test") == expected
    assert list(read_beir(str(folder), "test").corpus) == ["d1", "d2", "1"]


def test_byte_order_marks_blank_lines_and_carriage_returns_do_no_harm(folder: Path) -> None:
    plain = read_beir(folder, "test")
    for file in folder.rglob("*.*"):
        text = file.read_text().replace("\n", "\r\n\r\n  \r\n")
        file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_beir(folder, "test") == plain
    file = folder / "corpus.jsonl"
    file.write_bytes(b"\xef\xbb\xbf\n" + file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    assert read_beir(folder, "test") == plain


def test_judgements_need_no_header(folder: Path) -> None:
    path = folder / "qrels" / "test.tsv"
    path.write_text("q1\td1\t-1")
    assert read_beir(folder, "test").judgements == {"q1": {"d1": -1}}


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('\n{"a": "\u2028 and \x85"}\n\n{}', encoding="utf-8")
    assert list(read_jsonl(path)) == [(2, {"a": "\u2028 and \x85"}), (4, {})]


def test_lone_surrogates_become_a_replacement_character(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text(lines(CORPUS) + '{"_id": "d9", "text": "\\ud83d x"}')
    assert read_beir(folder, "test").corpus["d9"] == "\ufffd x"


GOOD = '{"_id": "d1", "text": "x"}\n'

BAD_CORPUS: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b"\n \n", "is empty"),
    (GOOD.encode() + b"\n{", "line 3: not JSON: "),
    (GOOD.encode() + b"{'_id': 'd2'}", "line 2: not JSON: "),
    (GOOD.encode() + b'{"_id": "d2", "text": "\xff"}', "line 2: not UTF-8: "),
    (GOOD.encode() + b"\x80\x04N.", "line 2: not UTF-8: "),
    (b"[" * 200_000, "line 1: not JSON: "),
    (b"[]", "line 1: must be an object, got list"),
    (b"null", "line 1: must be an object, got NoneType"),
    (GOOD.encode() + GOOD.encode(), "line 2: `_id` 'd1' appears twice"),
    (b'{"_id": 1.5, "text": "x"}', "line 1: needs `_id`, a string or an integer; got 1.5"),
    (b'{"_id": null, "text": "x"}', "line 1: needs `_id`, a string or an integer; got None"),
    (b'{"_id": 1, "text": "x"}\n{"_id": "1", "text": "x"}', "line 2: `_id` '1' appears twice"),
    (b'{"_id": "d1", "text": "x", "title": 3}', "line 1: field 'title' must be text, got int: 3"),
]


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    ("content", "message"), BAD_CORPUS, ids=[str(number) for number in range(len(BAD_CORPUS))]
)
def test_bad_texts_are_named_by_file_and_line(
    name: str, content: bytes, message: str, folder: Path
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(name) + r"'[, ]+" + re.escape(message)):
        read_beir(folder, "test")


BAD_JUDGEMENTS: list[tuple[bytes, str]] = [
    (b"\nq1\td1", "line 3: expected query-id, corpus-id, score"),
    (b"q1 0 d1 1", "line 2: expected query-id, corpus-id, score"),  # unlike the header
    (b"q1\t0\td1\t1", "line 2: expected query-id, corpus-id, score"),
    (b"q1\td1\t1.5", "line 2: expected query-id, corpus-id, score"),
    (b"q1\td1\t--1", "line 2: expected query-id, corpus-id, score"),
    ("q1\td1\t²".encode(), "line 2: expected query-id, corpus-id, score"),
    (b"q1\td1\t", "line 2: expected query-id, corpus-id, score"),
    (b"query-id\tcorpus-id\tscore", "line 2: expected query-id, corpus-id, score"),
    (b"q1\td1\t1\n\xff\td1\t1", "line 3: not UTF-8: "),
]


@pytest.mark.parametrize(
    ("content", "message"), BAD_JUDGEMENTS, ids=[message for _, message in BAD_JUDGEMENTS]
)
def test_bad_judgements_are_named_by_file_and_line(
    content: bytes, message: str, folder: Path
) -> None:
    (folder / "qrels" / "test.tsv").write_bytes(HEADER.encode() + content)
    with pytest.raises(ValueError, match=r"test\.tsv', " + re.escape(message)):
        read_beir(folder, "test")


def test_judgements_of_what_the_collection_lacks_are_counted(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text(
        HEADER + "q1\td1\t1\nq1\td9\t2\nq2\td9\t1\nq8\td1\t1\nq9\td8\t1\nq1\td1\t1\n"
    )
    dataset = read_beir(folder, "test")
    assert dataset.judgements == {"q1": {"d1": 1, "d9": 2}, "q2": {"d9": 1}}
    assert list(dataset.queries) == ["q1", "q2"]
    assert (dataset.n_unknown_documents, dataset.n_unknown_queries) == (1, 2)


def test_a_split_that_judges_no_query_of_the_collection_is_refused(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text(HEADER + "q9\td1\t1\n")
    with pytest.raises(ValueError, match=r"split 'test' judges none of the queries"):
        read_beir(folder, "test")


@pytest.mark.parametrize(
    ("title", "text", "query", "grade", "expected"),
    [
        ("", "green tea", "green tea", None, True),
        ("A title", " green tea ", "green tea", None, True),
        ("green", "tea", "green tea", None, True),
        ("A title", "green tea", "green tea", 0, True),
        ("A title", "green tea", "green tea", 1, False),
        ("", "a guide to green tea", "green tea", None, False),
        ("a guide", "to green tea", "green tea", None, False),
        ("green tea", "", "tea", None, False),
        ("green tea", "", "", None, True),
        (None, "tea", "tea", None, True),
    ],
)
def test_a_document_is_the_query_only_where_it_is_that(
    title: str | None, text: str, query: str, grade: int | None, expected: bool, folder: Path
) -> None:
    document = {"_id": "x", "title": title, "text": text}
    (folder / "corpus.jsonl").write_text(lines([*CORPUS, document]))
    (folder / "queries.jsonl").write_text(lines([{"_id": "x", "text": query}]))
    rows = "x\td1\t1\n" + ("" if grade is None else f"x\tx\t{grade}\n")
    (folder / "qrels" / "test.tsv").write_text(HEADER + rows)
    assert read_beir(folder, "test").is_query("x") is expected


def test_a_split_that_judges_nothing_is_refused(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text(HEADER)
    with pytest.raises(ValueError, match=r"test\.tsv' judges nothing"):
        read_beir(folder, "test")


def test_a_missing_split_names_those_that_are_there(folder: Path) -> None:
    (folder / "qrels" / "dev.tsv").write_text(HEADER)
    with pytest.raises(FileNotFoundError, match=r"no split 'train'; there are \['dev', 'test'\]"):
        read_beir(folder, "train")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}' is not a file"):
        read_beir(folder, "test")


def test_a_missing_folder_is_named(folder: Path) -> None:
    for path in (folder / "gone", folder / "corpus.jsonl"):
        with pytest.raises(FileNotFoundError, match=f"'{path}' is not a folder"):
            read_beir(path, "test")


def test_missing_and_empty_fields_add_nothing() -> None:
    record = {"a": " x ", "b": "", "c": None, "d": " \n", "e": "y"}
    assert join_fields(record, ["a", "b", "c", "d", "e", "f"]) == "x y"
    assert join_fields(record, ["f"]) == ""
    with pytest.raises(ValueError, match=r"field 'a' must be text, got list: \[1\]"):
        join_fields({"a": [1]}, ["a"])
