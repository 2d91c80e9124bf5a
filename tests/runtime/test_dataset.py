"""Collections from files: what is read, and how what is wrong is named."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from glane.collection.dataset import Dataset, read_beir, read_collection, read_jsonl
from glane.collection.fields import join_fields
from glane.collection.judgements import read_judgements

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


JUDGED = {"q1": {"d1": 1}, "q2": {"d2": 2, "1": 0}}

LAID_OUT: list[tuple[str, str]] = [
    ("test.tsv", "q1\td1\t1\nq2\td2\t2\nq2\t1\t0\n"),
    ("test.tsv", HEADER + "q1\td1\t1.0\nq2\td2\t2.\nq2\t1\t+0\n"),
    ("test.tsv", "corpus-id\tquery-id\tscore\nd1\tq1\t1\nd2\tq2\t2\n1\tq2\t0\n"),
    ("test.tsv", "q1 0 d1 1\nq2 0 d2 2\nq2 0 1 0\n"),
    ("test.tsv", "q1\t0\td1\t1\nq2\t0\td2\t2\nq2\t0\t1\t0\n"),
    ("test.txt", "q1  0   d1 1\r\nq2 Q0 d2 2 \r\n\r\nq2 0 1 0"),
    ("test.qrels", "q1 d1 1\nq2 d2 2\nq2 1 0\n"),
    ("test.csv", "query_id,doc_id,relevance\nq1,d1,1\nq2,d2,2\nq2,1,0\n"),
    ("test.csv", 'qid;iteration;docno;rel\n"q1";0;d1;1\nq2;0;d2;2\nq2;0;"1";0\n'),
    ("test.csv", "Query-ID, Corpus-ID, Score\nq1,d1,1\nq2,d2,2\nq2,1,0\n"),
    ("test.csv", "q1,d1,1\nq2,d2,2\nq2,1,0\n"),
    (
        "test.jsonl",
        '{"query-id": "q1", "corpus-id": "d1", "score": 1}\n'
        '{"query-id": "q2", "corpus-id": "d2", "score": 2.0}\n'
        '{"query-id": "q2", "corpus-id": 1, "score": "0"}',
    ),
    (
        "test.json",
        '[{"query-id": "q1", "corpus-id": "d1", "score": 1, "by": "me"},'
        '{"query-id": "q2", "corpus-id": "d2", "score": 2},'
        '{"query-id": "q2", "corpus-id": 1, "score": 0}]',
    ),
    (
        "test.tsv",
        '"query-id"\t"corpus-id"\t"score"\n"q1"\t"d1"\t"1"\n"q2"\t"d2"\t2\nq2\t"1"\t0\n',
    ),
]


@pytest.mark.parametrize("number", range(len(LAID_OUT)))
@pytest.mark.parametrize("packed", [False, True])
def test_judgements_are_read_as_people_have_them(number: int, packed: bool, folder: Path) -> None:
    name, text = LAID_OUT[number]
    (folder / "qrels" / "test.tsv").unlink()
    path = folder / "qrels" / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert read_judgements(path) == (JUDGED, 0)
    assert read_beir(folder, "test").judgements == JUDGED


def test_of_repeated_judgements_the_last_counts_and_contradictions_are_counted(
    folder: Path,
) -> None:
    path = folder / "qrels" / "test.tsv"
    path.write_text(HEADER + "q1\td1\t0\nq1\td1\t2\nq1\td1\t2\nq1\td1\t1\nq2\td2\t1\n")
    dataset = read_beir(folder, "test")
    assert dataset.judgements == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    assert dataset.n_contradicting == 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.tsv", "q\td\tgood\n", "line 1: expected query-id, corpus-id, score"),
        ("x.tsv", "query-id\tcorpus-id\n1\t2\n", "line 1: expected query-id"),
        ("x.csv", "query-id,query,score\n1,2,3\n", "line 1: expected query-id"),
        ("x.txt", "q 0 d 1\nq 0 d e 1\n", "line 2: expected query-id"),
        ("x.txt", "q 0 d 0.5\n", "line 1: expected query-id"),
        ("x.json", '[{"q": 1}]', "line 1: expected query-id.*got the fields \\['q'\\]"),
        ("x.json", '[{"qid": 1, "docid": 1.5, "rel": 1}]', "line 1: expected two ids and a whole"),
        ("x.json", '[{"qid": 1, "docid": 1, "rel": true}]', "line 1: expected two ids and a whole"),
        ("x.json", "[]", "x.json' judges nothing"),
        ("x.tsv", "\n", "x.tsv' judges nothing"),
    ],
)
def test_judgements_that_are_none_are_named(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_judgements(tmp_path / name)


def test_a_folder_as_it_comes_is_read(tmp_path: Path) -> None:
    """Integer ids, metadata, missing titles, a title alone, and what is left of unpacking."""
    (tmp_path / "qrels").mkdir()
    documents: list[Mapping[str, object]] = [
        {"_id": 1, "text": "tea", "metadata": {"url": "x", "n": [1]}},
        {"_id": "2", "title": "sea"},
        {"_id": 3, "title": None, "text": None, "extra": 5},
    ]
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(lines(documents).encode()))
    (tmp_path / "queries.jsonl").write_text(lines([{"_id": 7, "text": "tea", "metadata": {}}]))
    (tmp_path / "qrels" / "test.tsv").write_text(HEADER + "7\t1\t1\n7\t2\t-1\n7\t3\t0\n")
    dataset = read_beir(tmp_path, "test")
    assert dataset.corpus == {"1": "tea", "2": "sea", "3": ""}
    assert dataset.queries == {"7": "tea"}
    assert dataset.judgements == {"7": {"1": 1, "2": -1, "3": 0}}
    (tmp_path / "corpus.jsonl").write_text(lines([{"_id": "1", "text": "new"}]))
    assert read_beir(tmp_path, "test").corpus == {"1": "new"}, "the usual name comes first"
    (tmp_path / "corpus.jsonl").unlink()
    (tmp_path / "corpus.csv").write_text("_id,text\n1,x\n")
    with pytest.raises(
        ValueError, match=r"more than one file of corpus: corpus\.csv, corpus\.jsonl"
    ):
        read_beir(tmp_path, "test")


def test_fields_of_documents_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("nr;Frage;Antwort\n1;Was?;Tee\n")
    (tmp_path / "q.json").write_text('[{"qid": 1, "question": "Was?"}]')
    (tmp_path / "r").write_text("1 0 1 1\n")
    queries, qrels, documents = (tmp_path / name for name in ("q.json", "r", "d.csv"))
    dataset = read_collection(queries, qrels, documents, "nr", ["Frage", "Antwort"])
    assert dataset.corpus == {"1": "Was? Tee"}
    assert dataset.queries == {"1": "Was?"}
    assert dataset.titles == {"1": "Was?"}
    assert read_collection(queries, qrels).corpus == {}
    for key, on, message in (
        ("_id", ["Frage"], r"line 2: needs `_id`.*it has \['nr', 'Frage', 'Antwort'\]"),
        ("nr", ["title", "text"], r"no document has one of the fields \['title', 'text'\]: they"),
    ):
        with pytest.raises(ValueError, match=message):
            read_collection(queries, qrels, documents, key, on)
    (tmp_path / "q.json").write_text('[{"qid": 1, "frage": "Was?"}]')
    with pytest.raises(ValueError, match=r"line 1: has no text of a query: none of \['text', 'qu"):
        read_collection(queries, qrels, documents, "nr", ["Frage"])


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
