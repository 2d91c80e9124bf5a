"""The same documents, queries and judgements in every layout: the same index and measures."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, Search
from glane.commands.main import main

Record = Mapping[str, Any]
Writer = Callable[[Path, Sequence[Record]], str]

DOCUMENTS = [
    {"_id": 1, "title": "Leaves", "text": 'Plants "eat" light, water;\nand air.'},
    {"_id": 20, "title": "", "text": "Rivers run to the sea"},
    {"_id": 3, "title": "Grün", "text": ""},
    {"_id": 400, "title": "Stone", "text": "Granite is hard\t| very"},
]
MORE = [{"_id": 20, "title": "", "text": "Rivers stand"}, {"_id": 5, "title": "x", "text": "sea"}]
QUERIES = [
    {"_id": 7, "text": "what do plants eat"},
    {"_id": 8, "text": "sea rivers"},
    {"_id": 9, "text": "grün"},
]
QRELS = [(7, 1, 1), (8, 20, 2), (8, 400, 0), (9, 3, 1), (9, 99, 1)]


def as_lines(path: Path, records: Sequence[Record]) -> str:
    path.write_text("\n\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return str(path)


def packed(path: Path, records: Sequence[Record]) -> str:
    path.write_bytes(gzip.compress(Path(as_lines(path, records)).read_bytes()))
    return str(path)


def as_array(path: Path, records: Sequence[Record]) -> str:
    path.write_text(json.dumps(records), encoding="utf-8")
    return str(path)


def pretty(path: Path, records: Sequence[Record]) -> str:
    path.write_text(json.dumps(records, indent=2, ensure_ascii=False), encoding="utf-8-sig")
    return str(path)


def as_table(delimiter: str, encoding: str) -> Writer:
    def write(path: Path, records: Sequence[Record]) -> str:
        file = io.StringIO()
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
        path.write_bytes(file.getvalue().encode(encoding))
        return str(path)

    return write


def as_parquet(path: Path, records: Sequence[Record]) -> str:
    pytest.importorskip("pyarrow", reason="needs the extra data")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(r) for r in records]), path)
    return str(path)


LAYOUTS: dict[str, tuple[str, Writer]] = {
    "lines": (".jsonl", as_lines),
    "lines, packed": (".jsonl.gz", packed),
    "lines, packed, named otherwise": (".ndjson", packed),
    "array": (".json", as_array),
    "array, pretty, with a mark": (".json", pretty),
    "array, without a name": ("", as_array),
    "csv": (".csv", as_table(",", "utf-8")),
    "csv of a spreadsheet": (".csv", as_table(";", "utf-8-sig")),
    "csv, without a name": (".txt", as_table("|", "utf-8")),
    "tsv": (".tsv", as_table("\t", "utf-8")),
    "tsv of a spreadsheet": (".txt", as_table("\t", "utf-16")),
    "parquet": (".parquet", as_parquet),
}

layouts = pytest.mark.parametrize("layout", LAYOUTS)


def told(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    return dict(json.loads(capsys.readouterr().out))


def answers(index: Path) -> list[list[tuple[str, float]]]:
    found = Search.load(index).search([str(query["text"]) for query in QUERIES], k=9)
    return [
        [(str(id), score) for id, score in zip(ids, scores, strict=True)]
        for ids, scores in zip(found.ids, found.scores, strict=True)
    ]


def expected(*records: Sequence[Record]) -> list[list[tuple[str, float]]]:
    search = Search(BM25(), key="_id", on=["title", "text"])
    for each in records:
        search.add(each)
    return [
        [(str(hit["id"]), hit["score"]) for hit in row]
        for row in search.search([str(query["text"]) for query in QUERIES], k=9).to_lists()
    ]


@layouts
def test_an_index_is_the_same_whatever_the_layout(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending, write = LAYOUTS[layout]
    path = write(tmp_path / f"documents{ending}", DOCUMENTS)
    index = str(tmp_path / "index")
    made = told(["index", index, "--documents", path, "--retriever", "bm25"], capsys)
    assert (made["n_documents"], made["n_empty"]) == (4, 0)
    assert answers(tmp_path / "index") == expected(DOCUMENTS)


@layouts
def test_an_addition_is_the_same_whatever_the_layout_and_the_form_of_ids(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending, write = LAYOUTS[layout]
    base = as_lines(tmp_path / "base", DOCUMENTS)
    index = str(tmp_path / "index")
    told(["index", index, "--documents", base, "--retriever", "bm25", "--keep-documents"], capsys)
    more = write(tmp_path / f"more{ending}", MORE)
    added = told(["add", index, "--documents", more], capsys)
    assert (added["n_added"], added["n_replaced"], added["n_documents"]) == (1, 1, 5)
    assert answers(tmp_path / "index") == expected(DOCUMENTS, MORE)
    search = Search.load(index)
    assert 20 in search, "keeps its form"
    assert "20" not in search
    again = told(["add", index, "--documents", more], capsys)
    assert (again["n_added"], again["n_replaced"], again["n_unchanged"]) == (0, 0, 2)


@layouts
@pytest.mark.parametrize("way", ["folder", "files", "index"])
def test_an_evaluation_is_the_same_whatever_the_layout(
    layout: str, way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending, write = LAYOUTS[layout]
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    documents = write(folder / f"corpus{ending}", DOCUMENTS)
    queries = write(folder / f"queries{ending}", QUERIES)
    names = ("query-id", "corpus-id", "score")
    rows: list[Record] = [dict(zip(names, row, strict=True)) for row in QRELS]
    qrels = write(folder / "qrels" / f"test{ending}", rows)
    argv = ["evaluate", "--metrics", "hits@1,hits@3", "--run", str(tmp_path / "run")]
    if way == "folder":
        argv += ["--dataset", str(folder), "--retriever", "bm25"]
    elif way == "files":
        argv += ["--documents", documents, "--queries", queries, "--qrels", qrels]
        argv += ["--retriever", "bm25"]
    else:
        told(
            ["index", str(tmp_path / "i"), "--documents", documents, "--retriever", "bm25"], capsys
        )
        argv += ["--queries", queries, "--qrels", qrels, "--index", str(tmp_path / "i")]
    result = told(argv, capsys)
    assert result["metrics"] == {"hits@1": 1.0, "hits@3": 1.0}
    assert (result["n_documents"], result["n_queries"]) == (4, 3)
    assert result["n_unknown_documents"] == 1
    ranked = [line.split()[:3:2] for line in (tmp_path / "run").read_text().splitlines()]
    by_query = zip(("7", "8", "9"), expected(DOCUMENTS), strict=True)
    assert ranked == [[query, id] for query, row in by_query for id, _ in row[:3]]


@pytest.mark.parametrize("layout", ["lines", "array", "csv of a spreadsheet", "parquet"])
def test_documents_come_from_pipes(layout: str, tmp_path: Path) -> None:
    ending, write = LAYOUTS[layout]
    path = write(tmp_path / f"documents{ending}", DOCUMENTS)
    program = [sys.executable, "-W", "error", "-m", "glane", "index"]
    with open(path, "rb") as file:
        argv = [str(tmp_path / "one"), "--documents", "-", "--retriever", "bm25"]
        done = subprocess.run(
            ["sh", "-c", 'cat | "$@"', "sh", *program, *argv], stdin=file, capture_output=True
        )
    assert (done.returncode, done.stderr) == (0, b"")
    os.mkfifo(tmp_path / "pipe")
    argv = [str(tmp_path / "two"), "--documents", str(tmp_path / "pipe"), "--retriever", "bm25"]
    started = subprocess.Popen([*program, *argv])
    (tmp_path / "pipe").write_bytes(Path(path).read_bytes())
    assert started.wait(60) == 0
    assert answers(tmp_path / "one") == answers(tmp_path / "two") == expected(DOCUMENTS)


PLACES = [
    {"id": 9, "meta": {"id": "a", "t": {"de": "Grün", "en": "green"}}, "meta.id": "b"},
    {"id": 8, "meta": {"id": "c", "t": {"de": "Blau", "en": "blue"}}, "meta.id": "d"},
]


def test_fields_are_named_by_dots_and_literally(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_array(tmp_path / "places.json", PLACES)
    index = str(tmp_path / "index")
    argv = ["index", index, "--documents", path, "--retriever", "bm25", "--keep-documents"]
    told([*argv, "--key", "meta.id", "--on", "meta.t.en, meta.t.de"], capsys)
    found = told(["search", index, "blue"], capsys)["hits"]
    assert [hit["id"] for hit in found] == ["d"], "the field that is called so"
    assert found[0]["document"] == PLACES[1]
    told(["add", index, "--documents", path], capsys)
    told([*argv, "--overwrite", "--key", "id", "--on", "meta.t.de"], capsys)
    assert told(["search", index, "grün"], capsys)["hits"][0]["id"] == 9


def test_msmarco_is_read_as_it_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "collection.tsv").write_text('0\tThe "presence" of tea, say\n12\t"Sea is wide\n')
    (tmp_path / "docs.tsv").write_text("D7\thttp://a\tTea\tA leaf\nD8\thttp://b\t\tSea\n")
    (tmp_path / "queries.tsv").write_text("70\ttea presence\n71\twide sea\n72\tnothing\n")
    (tmp_path / "qrels.tsv").write_text("70\t0\t0\t1\n71\t0\t12\t1\n")
    index = str(tmp_path / "index")
    argv = ["--documents", str(tmp_path / "collection.tsv"), "--retriever", "bm25"]
    told(["index", index, *argv], capsys)
    judged = ["--queries", str(tmp_path / "queries.tsv"), "--qrels", str(tmp_path / "qrels.tsv")]
    for way in (["--index", index], argv):
        result = told(["evaluate", *judged, *way, "--metrics", "hits@1"], capsys)
        assert (result["metrics"], result["n_queries"]) == ({"hits@1": 1.0}, 2)
    argv = ["--documents", str(tmp_path / "docs.tsv"), "--retriever", "bm25", "--keep-documents"]
    told(["index", index, "--overwrite", *argv], capsys)
    hit = told(["search", index, "leaf tea"], capsys)["hits"][0]
    assert hit["document"] == {"_id": "D7", "url": "http://a", "title": "Tea", "text": "A leaf"}


def test_a_field_may_begin_late_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[Record] = [{"_id": n, "text": "tea"} for n in range(40)]
    path = as_lines(tmp_path / "x", [*records, {"_id": 99, "title": "late", "text": "tea"}])
    for on in ([], ["--on", "title,text"]):
        argv = ["index", str(tmp_path / f"i{len(on)}"), "--documents", path, "--retriever", "bm25"]
        assert told([*argv, *on], capsys)["n_documents"] == 41


BAD = [
    (
        "a.csv",
        "Frage;Antwort\nx;y\n",
        [],
        r"line 2 has no key '_id': it has \['Frage', 'Antwort'\]; ",
    ),
    (
        "a.csv",
        "Frage;Antwort\nx;y\n",
        ["--key", "Frage"],
        r"no document has the field 'title': they",
    ),
    (
        "a.csv",
        "_id;text\n1;y\n",
        ["--on", "titel,text"],
        r"no document has the field 'titel': they",
    ),
    ("a.csv", "_id;text\n1;y\n;z\n", [], "line 3: the key '_id' is empty"),
    (
        "a.csv",
        "_id;text\n1;y\n\n1;z\n",
        [],
        "line 4: document '1' appears twice, first in .*line 2",
    ),
    (
        "a.json",
        '[{"_id": 1, "text": "x"}, {"_id": "1", "text": "x"}]',
        [],
        "'1' appears twice, first as 1",
    ),
    (
        "a.json",
        '[{"_id": 1, "text": 5}]',
        [],
        "line 1, id 1: field 'text' must be text, got int: 5",
    ),
    (
        "a.json",
        '[{"_id": 1.5, "text": "x"}]',
        [],
        "line 1 must be a string or an integer, got float",
    ),
    (
        "a.json",
        '[{"_id": 1, "text": "x", "n": NaN}]',
        ["--keep-documents"],
        "line 1, id 1: cannot be",
    ),
    ("a.json", "[]", [], "a.json' is empty, or a header alone; expected documents"),
    ("a.csv", "_id,text\n", [], "a.csv' is empty, or a header alone; expected documents"),
    ("a.csv", "_id,text\n1,x\n", ["--on", "text,"], "--key and --on must name fields"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_documents_that_are_refused_are_named_and_leave_nothing(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    name, text, options, message = BAD[number]
    (tmp_path / name).write_text(text)
    argv = ["index", str(tmp_path / "i"), "--documents", str(tmp_path / name)]
    assert main([*argv, "--retriever", "bm25", *options]) in (1, 2)
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_addition_that_lacks_the_fields_names_what_the_index_wants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    path = as_lines(tmp_path / "a", [{"id": 1, "body": "tea"}])
    argv = ["index", index, "--documents", path, "--retriever", "bm25"]
    told([*argv, "--key", "id", "--on", "body"], capsys)
    for record, message in (
        (
            {"_id": 1, "body": "x"},
            "has no key 'id': it has ['_id', 'body']; the index was made with",
        ),
        ({"id": 1, "text": "x"}, "no document has the field 'body': they have ['id', 'text']; the"),
    ):
        assert main(["add", index, "--documents", as_lines(tmp_path / "b", [record])]) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("given", ["7", "8"])
def test_delete_finds_an_id_in_either_form(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(BM25())
    search.add([{"id": 7, "text": "x"}, {"id": "8", "text": "x"}, {"id": "07", "text": "x"}])
    search.save(tmp_path / "i")
    assert told(["delete", str(tmp_path / "i"), given], capsys)["n_documents"] == 2
    assert main(["delete", str(tmp_path / "i"), given]) == 1
    assert f"unknown document '{given}'" in capsys.readouterr().err
