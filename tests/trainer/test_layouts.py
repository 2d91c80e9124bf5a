"""Training data as people have it: every layout of files, and every name of fields."""

import csv
import gzip
import io
import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from glane.collection.by_id import documents_by_id, queries_by_id
from glane.collection.dataset import read_collection
from glane.collection.pairs import Fields
from glane.commands.main import main
from glane_trainer import Example, read_data
from glane_trainer.sources import Texts, query_key

NO_FIELDS = Fields()


def read(path: Path, fields: Fields = NO_FIELDS) -> list[Example]:
    return list(read_data(path, holdout=0, fields=fields).examples)


TRIPLES = [
    ("what is tea; a drink?", "tea is a\ndrink", 'the "sea" runs, dry'),
    ("wo wächst Tee", "Tee wächst auf Hügeln", "granite is hard"),
    ("お茶とは", "お茶は飲み物です", "海は深い"),
]

EXPECTED = [Example(anchor, positive, (negative,)) for anchor, positive, negative in TRIPLES]

NAMES = ("anchor", "positive", "negative")


def records(names: tuple[str, ...] = NAMES) -> list[dict[str, str]]:
    return [dict(zip(names, triple, strict=True)) for triple in TRIPLES]


def json_lines(names: tuple[str, ...] = NAMES) -> bytes:
    lines = (json.dumps(record, ensure_ascii=False) for record in records(names))
    return "".join(f"{line}\n" for line in lines).encode()


def table(delimiter: str, encoding: str = "utf-8") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([NAMES, *TRIPLES])
    return text.getvalue().encode(encoding)


LAYOUTS: dict[str, bytes] = {
    "lines.jsonl": json_lines(),
    "lines-without-a-name": json_lines(),
    "mark-and-crlf.jsonl": b"\xef\xbb\xbf" + json_lines().replace(b"\n", b"\r\n"),
    "packed.jsonl.gz": gzip.compress(json_lines()),
    "packed-and-not-called-so.jsonl": gzip.compress(json_lines()),
    "array.json": json.dumps(records()).encode(),
    "pretty.json": json.dumps(records(), indent=2).encode(),
    "commas.csv": table(","),
    "semicolons-and-mark.csv": table(";", "utf-8-sig"),
    "tabs.tsv": table("\t"),
    "bars.csv": table("|"),
    "utf-16.csv": table("\t", "utf-16"),
    "packed.csv.gz": gzip.compress(table(",")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(LAYOUTS[name])
    assert list(read_data(path, holdout=0).examples) == EXPECTED


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="the extra `data` is not installed")
def test_parquet_gives_the_same_examples(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "triples.parquet"
    parquet.write_table(pa.Table.from_pylist(records()), path)
    assert list(read_data(path, holdout=0).examples) == EXPECTED
    lists = [{"query": a, "pos": [p], "neg": [n]} for a, p, n in TRIPLES]
    parquet.write_table(pa.Table.from_pylist(lists), path)
    assert list(read_data(path, holdout=0).examples) == EXPECTED


def test_a_pipe_and_standard_input_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[json_lines()])
    writer.start()
    assert list(read_data(pipe, holdout=0).examples) == EXPECTED
    writer.join()
    (tmp_path / "triples.csv").write_bytes(table(";"))
    before = os.dup(0)
    try:
        with (tmp_path / "triples.csv").open("rb") as file:
            os.dup2(file.fileno(), 0)
        assert list(read_data("-", holdout=0).examples) == EXPECTED
    finally:
        os.dup2(before, 0)
        os.close(before)


def test_the_triples_of_ms_marco_have_no_header(tmp_path: Path) -> None:
    rows = [
        ("what is tea", 'a "drink of leaves', "the sea is deep"),
        ("where is it", "on hills", "in 1999"),
    ]
    path = tmp_path / "triples.train.small.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    assert list(read_data(path, holdout=0).examples) == [Example(a, p, (n,)) for a, p, n in rows]
    path.write_text("".join("\t".join(row[:2]) + "\n" for row in rows))
    assert list(read_data(path, holdout=0).examples) == [Example(a, p) for a, p, _ in rows]


@pytest.mark.parametrize(
    "record",
    [
        {"anchor": "a", "positive": "p", "negative": "n"},
        {"query": "a", "positive": "p", "negatives": ["n"]},
        {"question": "a", "answer": "p", "hard_negatives": ["n"]},
        {"Question": "a", "Answer": "p", "Negative": "n", "id": 7},
        {"query": "a", "pos": ["p"], "neg": ["n"], "prompt": "find"},
        {"query": "a", "document": "p", "hard_negative": "n"},
        {"query": "a", "positive": "p", "negative_1": "n"},
        {"query_id": "1", "query": "a", "passage": "p", "neg": ["n"], "title": "t"},
    ],
    ids=lambda record: ",".join(record),
)
def test_fields_with_names_in_common_use_are_found(
    triples: Callable[..., Path], record: dict[str, Any]
) -> None:
    assert read(triples(record)) == [Example("a", "p", ("n",))]


def test_pairs_and_lists_may_be_mixed_and_each_positive_is_an_example(
    triples: Callable[..., Path],
) -> None:
    path = triples(
        {"query": "a", "pos": ["p", "r"], "neg": ["n", "m"]},
        {"query": "b", "pos": ["p"], "neg": []},
        {"query": "c", "pos": ["p"]},
        {"query": "d", "pos": ["p"], "neg": None},
        {"query": "e", "pos": ["p", "r"], "neg": ["n"], "teacher_scores": [3, 2, 1]},
    )
    data = read_data(path, holdout=0)
    assert list(data.examples) == [
        Example("a", "p", ("n", "m")),
        Example("a", "r", ("n", "m")),
        *(Example(anchor, "p") for anchor in "bcd"),
        Example("e", "p", ("n",), (3, 1)),
        Example("e", "r", ("n",), (2, 1)),
    ]
    assert data.counts.without_negatives == 3
    assert data.examples.known(data.examples[:2]) == [{"p", "r"}] * 2


def test_a_list_in_a_table_is_json_and_an_empty_cell_is_no_negative(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_text('query,pos,neg\na,"[""p"", ""r""]",[]\nb,"[""p""]",\n')
    assert read(path) == [Example("a", "p"), Example("a", "r"), Example("b", "p")]
    path.write_text("query,answer,negative\na,p,\nb,[p],n\n")
    assert read(path) == [Example("a", "p"), Example("b", "[p]", ("n",))]


def test_fields_are_named_also_inside_of_others(triples: Callable[..., Path]) -> None:
    path = triples(
        {"faq": {"Frage": "a", "Antwort": "p"}, "andere": ["n", "m"], "query": "x", "pos": ["y"]},
        {"faq": {"Frage": "b", "Antwort": "p"}, "query": "x", "pos": ["y"]},
    )
    fields = Fields("faq.Frage", "faq.Antwort", "andere")
    assert read(path, fields) == [Example("a", "p", ("n", "m")), Example("b", "p")]
    assert read(path) == [Example("x", "y"), Example("x", "y")]


@pytest.mark.parametrize(
    ("record", "fields", "complaint"),
    [
        ({"query": "a", "question": "b", "pos": ["p"]}, {}, "one of `query` and `question`; say"),
        ({"query": "a", "answer": "p", "passage": "r"}, {}, "which with --positive"),
        ({"query": "a", "Query": "b", "pos": ["p"]}, {}, "needs one of `query` and `Query`"),
        ({"Frage": "a", "Antwort": "p"}, {}, "among the fields ['Frage', 'Antwort']"),
        ({"Frage": "a", "Antwort": "p"}, {}, "none of ['anchor', 'query', 'question']"),
        ({"Frage": "a", "Antwort": "p"}, {}, "name it with --anchor (`fields=Fields(anchor=...)`)"),
        ({"query": "a", "Antwort": "p"}, {"anchor": "Frage"}, "`positive` is missing"),
        ({"query": "a", "pos": ["p"]}, {"anchor": "Frage"}, "`Frage` is missing"),
        ({"query": "a", "pos": ["p"]}, {"positive": "a.b"}, "['query', 'pos']"),
        ({"query": None, "pos": ["p"]}, {}, "`query` is missing"),
        ({"query": "a", "pos": []}, {}, "`pos` is empty"),
        ({"query": "a", "pos": ["p", 3]}, {}, "`pos` must be text, got int: 3"),
        ({"query": "a", "pos": ["p"], "neg": [["n"]]}, {}, "`neg` must be text, got list"),
        ({"query": "a", "pos": "p"}, {}, "`pos` must be a list of texts, got str"),
        ({"query": "a", "pos": {"text": "p"}}, {}, "must be a list of texts, got dict"),
        ({"query": 1984, "answer": "p"}, {}, "`query` must be text, got int: 1984"),
        ({"query": ["a"], "answer": "p"}, {}, "`query` must be text, got list"),
        ({"query": "a", "answer": True}, {}, "`answer` must be text, got bool"),
        ({"query": "a", "answer": "p", "negative": 0}, {}, "`negative` must be text, got int"),
        (
            {"query": "a", "pos": ["p", "r"], "neg": ["n"], "teacher_scores": [1, 2]},
            {},
            "`teacher_scores` must be 3",
        ),
    ],
)
def test_a_mistake_names_file_line_and_field(
    triples: Callable[..., Path], record: dict[str, Any], fields: dict[str, str], complaint: str
) -> None:
    good: dict[str, Any] = {
        fields.get("anchor", "query"): "a",
        fields.get("positive", "answer"): "p",
    }
    if "." in fields.get("positive", ""):
        good = {"query": "a", "a": {"b": "p"}}
    with pytest.raises(ValueError, match=r"triples.jsonl', line 2: ") as error:
        read(triples(good, record), Fields(**fields))
    assert complaint in str(error.value)


def test_numbered_negatives_are_all_read(triples: Callable[..., Path]) -> None:
    path = triples(
        {"query": "a", "answer": "p", "negative_1": "n", "negative_2": "m", "negative_score": 1},
        {"query": "b", "answer": "p", "negative": "n", "Hard_Negative1": "m", "neg2": None},
    )
    assert read(path) == [Example("a", "p", ("n", "m")), Example("b", "p", ("n", "m"))]
    assert read(path, Fields(negatives="negative_2"))[0].negatives == ("m",)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (["121\t2912791\t8841", "122\t55\t66"], "every anchor is a number"),
        (["what is tea in here\t17", "what is the sea\t18"], "every positive is a number"),
        (["question\tanswer", "tea\t 17.0 "], "every positive is a number"),
    ],
)
def test_ids_in_place_of_texts_are_refused(tmp_path: Path, rows: list[str], what: str) -> None:
    path = tmp_path / "triples.tsv"
    path.write_text("\n".join(rows))
    with pytest.raises(ValueError, match=f"triples.tsv': {what}; expected texts"):
        read(path)
    path.write_text("\n".join([*rows, "wo\tda" + "\tdort" * (rows[0].count("\t") - 1)]))
    assert len(read(path)) >= 2, "some may be numbers"


def test_named_negatives_that_no_record_has_are_refused(triples: Callable[..., Path]) -> None:
    path = triples({"query": "a", "answer": "p", "wrong": "n"})
    with pytest.raises(ValueError, match=r"no record has negatives in the field 'wrogn'"):
        read(path, Fields(negatives="wrogn"))


def test_a_folder_has_no_fields_to_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        read_data(tmp_path, fields=Fields(anchor="Frage"))


def test_the_program_takes_a_table_and_names_of_fields(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faq.csv"
    path.write_text("Frage;Antwort\ntea;tea grows on hills\nbees;bees make honey\n")
    words = ["train", "colbert", "--base", str(bert), "--data", str(path), "--dim", "8"]
    words += ["--out", str(tmp_path / "out"), "--threads", "1", "--epochs", "1", "--holdout", "0"]
    assert main(words) == 1
    assert "faq.csv', line 2: `anchor` is missing" in capsys.readouterr().err
    assert main([*words, "--anchor", "Frage", "--positive", "Antwort"]) == 0
    printed = capsys.readouterr()
    assert "2 examples to learn from, 0 with negatives of their own, 2 without" in printed.err
    assert "2 examples have no negatives of their own" in printed.out
    words[words.index(str(path))] = str(tmp_path)
    assert main([*words, "--anchor", "Frage"]) == 2
    assert "--anchor, --positive and --negatives name fields" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train_hardneg.tsv", "train_hardneg.tsv.gz"])
@pytest.mark.parametrize("begin", ["", "query-id\tpositive-id\tnegative-ids\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_hard_negatives_of_a_part_of_the_pairs_are_read_in_all_their_forms(
    tmp_path: Path, name: str, begin: str, mark: bytes
) -> None:
    (tmp_path / "qrels").mkdir()
    documents = [{"_id": str(n), "text": f"document {n}"} for n in range(4)]
    queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(2)]
    for file, rows in (("corpus", documents), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{file}.jsonl").write_text(lines)
    judged = "query-id\tcorpus-id\tscore\nq0\t0\t1\nq1\t1\t1\n"
    (tmp_path / "qrels" / "train.tsv").write_text(judged)
    content = mark + f"{begin}q1\t1\t2 3\r\n\r\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    data = read_data(tmp_path, holdout=0)
    assert [example.negatives for example in data.examples] == [(), ("document 2", "document 3")]
    assert data.counts.without_negatives == 1
    assert data.counts.unknown_negatives == 0


@pytest.fixture
def collection(tmp_path: Path) -> dict[str, str]:
    """A collection whose files have three layouts."""
    documents = [{"nr": n, "inhalt": {"body": text}} for n, (_, text, _) in enumerate(TRIPLES)]
    (tmp_path / "documents.json").write_text(json.dumps(documents))
    queries = "".join(f"{n}\t{query}\n" for n, (query, _, _) in enumerate(TRIPLES))
    (tmp_path / "queries.tsv").write_text(queries)
    judged = "0 0 0 1\n1 0 1 1\n1 0 2 0\n1 0 2 1\n1 0 9 1\n"
    (tmp_path / "judged.qrels").write_text(judged)
    names = {"documents": "documents.json", "queries": "queries.tsv", "qrels": "judged.qrels"}
    return {name: str(tmp_path / file) for name, file in names.items()}


def test_a_collection_may_be_given_file_by_file(collection: dict[str, str]) -> None:
    dataset = read_collection(
        collection["queries"], collection["qrels"], collection["documents"], "nr", ["inhalt.body"]
    )
    data = read_data(dataset, holdout=0)
    texts = {text.strip(): text.strip() for _, text, _ in TRIPLES}
    assert [(e.anchor, texts[e.positive]) for e in data.examples] == [
        (TRIPLES[0][0], TRIPLES[0][1]),
        (TRIPLES[1][0], TRIPLES[1][1]),
        (TRIPLES[1][0], TRIPLES[2][1]),
    ]
    assert (data.counts.unknown_documents, data.counts.contradicting) == (1, 1)
    with pytest.raises(ValueError, match="dev_split needs a BEIR folder, but the collection"):
        read_data(dataset, dev_split="dev")


def test_the_program_takes_a_collection_file_by_file(
    bert: Path, collection: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "colbert", "--base", str(bert), "--out", str(tmp_path / "out"), "--dim", "8"]
    words += ["--threads", "1", "--epochs", "1", "--holdout", "0"]
    files = [word for name, path in collection.items() for word in (f"--{name}", path)]
    fields = ["--key", "nr", "--on", "inhalt.body"]
    wrong = [
        ([*files[:4], *fields], "--documents needs --qrels"),
        ([*files, "--data", files[1]], "pass either --data or --documents"),
        (fields, "--data is missing"),
        (["--data", files[1], *fields], "--key and --on name fields of --documents"),
        ([*files, "--anchor", "x"], "name fields of a file of --data, but there is none"),
        ([*files, "--on", "a,"], "must name fields, got an empty name"),
        (["--documents", "-", "--queries", "-", "--qrels", "x"], "only one file can be standard"),
    ]
    for options, complaint in wrong:
        assert main([*words, *options]) == 2
        assert complaint in capsys.readouterr().err
    assert main([*words, *files, *fields]) == 0
    printed = capsys.readouterr()
    assert "3 examples to learn from" in printed.err
    assert "1 judgements contradict one before" in printed.out


TEXTS: dict[str, list[dict[str, Any]]] = {
    "queries": [{"id": n, "text": f"query {n}"} for n in (7, 8)],
    "documents": [{"document_id": n, "text": f"document {n}"} for n in range(1, 5)],
}

TRIPLE = [Example("query 7", "document 1", ("document 2", "document 3"))]

TAUGHT = [replace(TRIPLE[0], teacher_scores=(0.5, 0.25, 0.125))]

BY_ID: dict[str, tuple[str, list[Example]]] = {
    "ms-marco.tsv": (
        "7\t1\t2\n7\t1\t3\n",
        [replace(TRIPLE[0], negatives=(f"document {n}",)) for n in (2, 3)],
    ),
    "pairs.tsv": (
        "7\t1\n8\t4\n",
        [Example("query 7", "document 1"), Example("query 8", "document 4")],
    ),
    "hard.tsv": ("query-id\tpositive-id\tnegative-ids\n7\t1\t2 3\n", TRIPLE),
    "hard.csv": ('qid,pos,neg\n7,1,"[2, 3]"\n', TRIPLE),
    "colbert.json": ("[7, 1, 2, 3]\n", TRIPLE),
    "colbert.jsonl": ("[7, 1, 2, 3]\n", TRIPLE),
    "colbert-scored.jsonl": ("[7, [1, 0.5], [2, 0.25], [3, 0.125]]\n", TAUGHT),
    "colbert-array.json": ("[[7, 1, 2, 3]]", TRIPLE),
    "pylate.jsonl": (
        '{"query_id": 7, "document_ids": [2, 1, 3], "scores": [0.25, 0.5, 0.125]}\n',
        TAUGHT,
    ),
    "pylate-texts.jsonl": (
        '{"query_id": "7", "document_ids": ["2", "1", "3"], "scores": [0.25, 0.5, 0.125]}\n',
        TAUGHT,
    ),
    "pylate-unscored.jsonl": ('{"query_id": 7, "document_ids": [1, 2, 3]}\n', TRIPLE),
    "tevatron.jsonl": (
        '{"query_id": 7, "query": "q", "positive_document_ids": [1], '
        '"negative_document_ids": [2, 3]}\n',
        TRIPLE,
    ),
    "systems.jsonl": ('{"qid": 7, "pos": [1], "neg": {"bm25": [2, 3], "dense": [3, 2]}}\n', TRIPLE),
    "numbered.jsonl": (
        '{"query_id": 7, "positive_id": 1, "negative_1": 2, "negative_2": 3}\n',
        TRIPLE,
    ),
    "own.jsonl": ('{"query_id": 7, "positive_ids": [1], "negative_ids": [2, 1, 3]}\n', TRIPLE),
}
"""Files that name texts by ids, as others lay them out, and the examples that they are."""


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    for name, rows in TEXTS.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    return Texts(
        queries_by_id(tmp_path / "queries.jsonl", query_key),
        documents_by_id(tmp_path / "documents.jsonl", None, ("title", "text"), hash),
    )


@pytest.mark.parametrize("name", BY_ID)
def test_every_layout_of_ids_gives_the_texts(tmp_path: Path, texts: Texts, name: str) -> None:
    content, expected = BY_ID[name]
    (tmp_path / name).write_text(content)
    data = read_data(tmp_path / name, holdout=0, texts=texts)
    assert list(data.examples) == expected
    assert data.counts.own_negatives == (name == "own.jsonl")
    assert data.counts.without_negatives == sum(not e.negatives for e in expected)
    assert len(data.examples.known(expected)) == len(expected)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("7\t1\t9\n", "line 1: '9' is not in "),
        ("9\t1\t2\n", "line 1: '9' is not in "),
        ("[7]\n", "line 1: expected a query and a document at least, got ['7']"),
        ("[7, 1, [2, 1]]\n", "line 1: `negative_ids` must be ids, got [2, 1]"),
        ('{"query_id": 7}\n', "line 1: `positive` is missing: none of ['positive_id'"),
        ('{"positive_id": 7}\n', "line 1: `anchor` is missing: none of ['query_id'"),
        ('{"query_id": 7, "positive_ids": []}\n', "line 1: `positive_ids` is empty"),
        ('{"query_id": 7, "document_ids": []}\n', "line 1: `document_ids` is empty"),
        ('{"query_id": 7, "document_ids": [1, 2], "scores": [1]}', "line 1: `scores` must be 2"),
        ('{"query_id": 7, "document_ids": [1], "scores": ["x"]}', "`teacher_scores` must be numb"),
        ('{"query_id": 7.5, "positive_id": 1}\n', "line 1: `query_id` must be ids, got 7.5"),
        ('{"query_id": [7, 8], "positive_id": 1}\n', "line 1: `query_id` must be one id, got 2"),
        ("[7, [1, 0.5], [2, null]]\n", "line 1: `teacher_scores` must be numbers, got None"),
    ],
)
def test_a_mistake_in_the_ids_is_placed(
    tmp_path: Path, texts: Texts, content: str, complaint: str
) -> None:
    (tmp_path / "ids").write_text(content)
    with pytest.raises(ValueError, match=f"ids', line 1: |ids', {re.escape(complaint)}") as error:
        read_data(tmp_path / "ids", holdout=0, texts=texts)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n', "line 2: the id '1' appears twice"),
        ('{"id": 1, "text": " "}\n', "line 1: has no text"),
        ('{"id": null, "text": "a"}\n', "line 1: `id` must be an id, got None"),
        ('{"nr": 1, "text": "a"}\n', "line 1: has no id: none of ['_id'"),
        ('{"id": 1, "text": 3}\n', "line 1: field 'text' must be text, got int"),
    ],
)
def test_a_mistake_in_the_texts_is_placed(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "d.jsonl").write_text(content)
    with pytest.raises(ValueError, match=f"d.jsonl', {re.escape(complaint)}"):
        documents_by_id(tmp_path / "d.jsonl", None, ("title", "text"), hash)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("1\ttea\n2\tsea\n", "tea"),
        ("1\ttea\tLeaf\n2\tsea\tWater\n", "Leaf tea"),
        ("1\thttp://x.org\tLeaf\ttea\n2\thttp://y.org\tWater\tsea\n", "Leaf tea"),
    ],
    ids=["ms-marco", "colbert", "ms-marco-documents"],
)
def test_collections_without_a_header_are_read(tmp_path: Path, content: str, text: str) -> None:
    (tmp_path / "collection.tsv").write_text(content)
    found = documents_by_id(tmp_path / "collection.tsv", None, ("title", "text"), hash)
    assert found.text("1") == text
    assert found.hashes[found.number("1")] == hash(text)


def test_the_layouts_of_others_are_read_with_their_scores(triples: Callable[..., Path]) -> None:
    passages = [{"docid": n, "title": "", "text": f"p{n}"} for n in range(2)]
    titled = {"docid": "9", "title": "Tea", "text": "grows"}
    rows: list[dict[str, Any]] = [
        {"query": "a", "pos": ["p"], "neg": ["n"], "pos_scores": [2], "neg_scores": [1]},
        {"query_id": 1, "query": "b", "positive_passages": [titled], "negative_passages": passages},
        {"question": "c", "answers": ["x"], "positive_ctxs": [titled], "hard_negative_ctxs": []},
        {"anchor": "d", "positive": "p", "negative_1": "n", "negative_2": "m", "score": [3, 2, 1]},
        {"anchor": "e", "positive": "p", "score": 0.5, "label": 1},
    ]
    assert read(triples(*rows)) == [
        Example("a", "p", ("n",), (2, 1)),
        Example("b", "Tea grows", ("p0", "p1")),
        Example("c", "Tea grows"),
        Example("d", "p", ("n", "m"), (3, 2, 1)),
        Example("e", "p"),
    ]


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"query": "a", "pos": ["p"], "neg": ["n"], "pos_scores": [2]}, "must be 2, for each"),
        ({"query": "a", "pos": ["p"], "pos_scores": 2}, "`pos_scores` must be a list, got int"),
        ({"query": "a", "pos": ["p"], "pos_scores": ["2"]}, "`pos_scores` must be numbers"),
        ({"anchor": "a", "positive": "p", "scores": [1, 2]}, "`scores` must be 1"),
        ({"query": "a", "positive_passages": [{"title": "t"}]}, "must be text, got dict"),
        ({"query": "a", "positive_passages": [{"text": " "}]}, "`positive_passages` is empty"),
        ({"query": "a", "positive_passages": []}, "`positive_passages` is empty"),
        ({"anchor": "a", "positive": "p", "label": 0}, "`label` is 0: a pair that does not match"),
        ({"anchor": "a", "positive": "p", "label": "0.0"}, "`label` is '0.0': a pair that"),
    ],
)
def test_what_is_missing_in_the_layouts_of_others_is_placed(
    triples: Callable[..., Path], record: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=r"triples.jsonl', line 2: ") as error:
        read(triples({"query": "a", "positive": "p"}, record))
    assert complaint in str(error.value)


def test_the_program_takes_several_sources_with_weights(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("query;answer\ntea;tea grows on hills\nbees;bees sing\n")
    (tmp_path / "b.jsonl").write_text('{"anchor": "the sea", "pos": ["rivers run"]}\n')
    words = ["train", "colbert", "--base", str(bert), "--dim", "8", "--out", str(tmp_path / "out")]
    words += ["--threads", "1", "--epochs", "2", "--holdout", "0"]
    both = ["--data", str(tmp_path / "a.csv"), "--data", str(tmp_path / "b.jsonl")]
    wrong = [
        (["--weights", "1"], "--weights must be one for each --data, 2, got 1"),
        (["--weights", "1", "0"], "--weights must be above 0 and finite"),
        (["--queries", "q"], "--queries needs --documents"),
        (["--qrels", "q"], "pass either --data or --qrels"),
        (["--key", "id"], "--key and --on name fields of --documents"),
    ]
    for options, complaint in wrong:
        assert main([*words, *both, *options]) == 2
        assert complaint in capsys.readouterr().err
    assert main([*words, *both, "--weights", "1", "3"]) == 0
    printed = capsys.readouterr().err
    assert "3 examples to learn from" in printed
    assert f"'{tmp_path / 'a.csv'}': 2 examples of 2 queries" in printed
    assert f"'{tmp_path / 'b.jsonl'}': 1 examples of 1 queries" in printed


def test_the_program_takes_triples_by_ids(
    bert: Path, texts: Texts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert texts.documents.name
    (tmp_path / "triples.tsv").write_text("7\t1\t2\n8\t3\t4\n")
    words = ["train", "colbert", "--base", str(bert), "--dim", "8", "--out", str(tmp_path / "out")]
    words += ["--threads", "1", "--epochs", "1", "--holdout", "0", "--data"]
    words += [str(tmp_path / "triples.tsv")]
    assert main(words) == 1
    assert "expected texts, and not their ids, unless --queries and" in capsys.readouterr().err
    files = [f"--{name}={tmp_path / name}.jsonl" for name in ("queries", "documents")]
    assert main([*words, *files]) == 0
    assert "2 examples to learn from, 2 with negatives of their own" in capsys.readouterr().err


def test_a_large_copy_is_said(tmp_path: Path) -> None:
    text = "tea " * (1 << 18)
    (tmp_path / "pairs.csv").write_text(f"query;answer\ntea;{text}\n")
    told = read_data(tmp_path / "pairs.csv", holdout=0).summary()
    assert "0 with negatives of their own; from a temporary copy of 1 MiB\n" in told
