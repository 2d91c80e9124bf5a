"""`glane split`: from pairs to a collection with judgements, and questions held out."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glane.collection import matching
from glane.collection.dataset import read_beir
from glane.collection.matching import SHORTEST, Document, find_parts, plain, settle
from glane.collection.pairs import Pair
from glane.collection.spelling import spelling
from glane.collection.splitting import Shares, write_split
from glane.commands.main import main
from glane.store import files

SENTENCES = [f"Sentence number {n} tells what nobody else in here has told." for n in range(10)]

ARTICLES = [
    {"article_id": n, "headline": f"About {n}" if n % 2 else None, "body": text}
    for n, text in enumerate(SENTENCES)
]


def write_json(path: Path, records: object) -> str:
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return str(path)


@pytest.fixture
def faq(tmp_path: Path) -> str:
    path = tmp_path / "faq.csv"
    rows = [f"Was ist {n}?;{text}\r\n" for n, text in enumerate(SENTENCES)]
    path.write_text("".join(["Frage;Antwort\r\n", *rows]), encoding="utf-8-sig")
    return str(path)


@pytest.fixture
def articles(tmp_path: Path) -> list[str]:
    path = write_json(tmp_path / "articles.json", ARTICLES)
    return ["--documents", path, "--key", "article_id", "--on", "headline,body"]


def split(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["split", *argv, "--json"]) == 0, capsys.readouterr().err
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    assert main(["split", *argv]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


FIELDS = ["--anchor", "Frage", "--positive", "Antwort"]


def test_pairs_alone_become_a_collection_of_their_answers(
    faq: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beir"
    told = split([faq, *FIELDS, "--out", str(out), "--dev", "0.1"], capsys)
    assert told["n_documents"] == told["n_pairs"] == 10
    assert told["n_questions"] == {"train": 7, "dev": 1, "test": 2}
    sides = {side: read_beir(out, side) for side in ("train", "dev", "test")}
    asked = [query for dataset in sides.values() for query in dataset.queries.values()]
    assert sorted(asked) == [f"Was ist {n}?" for n in range(10)]
    for dataset in sides.values():
        assert list(dataset.corpus.values()) == SENTENCES
        for id, query in dataset.queries.items():
            (document,) = dataset.judgements[id]
            assert dataset.corpus[document] == SENTENCES[int(query[-2])]


def test_answers_are_found_among_documents_with_integer_ids(
    faq: str, articles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beir"
    assert main(["split", faq, *FIELDS, *articles, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "beir: 10 documents; questions: 8 in train, 2 in test" in printed
    assert "10 answers are the text of a document" in printed
    assert "left out" not in printed
    dataset = read_beir(out, "train")
    assert dataset.corpus["1"] == f"About 1 {SENTENCES[1]}"
    assert dataset.corpus["2"] == SENTENCES[2]
    for id, query in dataset.queries.items():
        assert list(dataset.judgements[id]) == [query[-2]], "the number that is asked for"


def test_the_same_call_writes_the_same_bytes_and_another_seed_others(
    faq: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        split([faq, *FIELDS, "--out", str(tmp_path / name), "--seed", seed], capsys)
    first, again, other = (content(tmp_path / name) for name in "abc")
    assert first == again
    assert first != other
    assert first["corpus.jsonl"] == other["corpus.jsonl"]


@pytest.mark.parametrize(
    ("answer", "how", "ids"),
    [
        ("Tee wächst an Hügeln, in warmem Regen.", "equal", {"a"}),
        ("  Tee wa\u0308chst an Hu\u0308geln,\u00a0in\nwarmem  Regen. ", "equal", {"a"}),
        ("Tee Tee wächst an Hügeln, in warmem Regen.", "equal", {"a"}),
        ("wächst an Hügeln, in warmem", "part", {"a"}),
        ("Rivers run to the sea.", "equal", {"b", "i"}),
        ("All the rain is falling down on us.", "several", set[str]()),
        ("run to the sea, and then go up again", "part", {"d"}),
        ("granite is hard and old, too", "several", set[str]()),
        ("nobody has written this one", "none", set[str]()),
        ("and then go up", "none", set[str]()),
    ],
)
def test_an_answer_is_a_document_or_a_part_of_one_alone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    how: str,
    ids: set[str],
) -> None:
    documents = [
        {"_id": "a", "title": "Tee", "text": "Tee wächst an Hügeln, in warmem Regen."},
        {"_id": "b", "text": "Rivers run to the sea."},
        {"_id": "c", "title": "Water", "text": "All the rain is falling down on us."},
        {"_id": "d", "text": "All rivers run to the sea, and then go up again as rain."},
        {"_id": "e", "text": "We know that granite is hard and old, too."},
        {"_id": "f", "text": "They say granite is hard and old, too."},
        {"_id": "i", "title": " ", "text": "Rivers  run to the sea."},
        {"_id": "j", "title": "Rain", "text": "All the rain is falling down on us."},
        {"_id": "g", "title": "", "text": "an answer that is surely here"},
        {"_id": "h", "title": None, "text": "another answer that is here"},
    ]
    pairs = [
        {"question": "asked", "answer": answer},
        {"question": "sure", "answer": "an answer that is surely here"},
        {"question": "other", "answer": "another answer that is here"},
    ]
    data = write_json(tmp_path / "pairs.json", pairs)
    corpus = write_json(tmp_path / "documents.json", documents)
    out = tmp_path / "out"
    told = split([data, "--documents", corpus, "--out", str(out)], capsys)
    assert told["answers"][how] == 1 + 2 * (how == "equal")
    assert sum(told["answers"].values()) == 3
    assert ("line 1" in told["left_out"]) == (not ids)
    assert told["n_documents"] == 10, "no answer is added to what is searched"
    judged = [
        line.split("\t")[1]
        for path in (out / "qrels").iterdir()
        for line in path.read_text().splitlines()[1:]
    ]
    assert set(judged) == ids | {"g", "h"}


def test_triples_keep_their_negatives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    triples = [
        {"query": f"q {n}", "pos": [f"p {n}", f"r {n}"], "neg": [f"p {n + 1}", "never"]}
        for n in range(4)
    ]
    data = write_json(tmp_path / "triples.json", triples)
    told = split([data, "--out", str(tmp_path / "own"), "--test", "0.25"], capsys)
    assert told["n_lost_negatives"] == 0
    lines = (tmp_path / "own" / "train_hardneg.tsv").read_text().splitlines()
    assert lines[0] == "query-id\tpositive-id\tnegative-ids"
    dataset = read_beir(tmp_path / "own", "train")
    texts = [
        (
            dataset.queries[query],
            dataset.corpus[positive],
            [dataset.corpus[id] for id in ids.split()],
        )
        for query, positive, ids in (line.split("\t") for line in lines[1:])
    ]
    wanted = [(f"q {n}", f"{a} {n}", [f"p {n + 1}", "never"]) for n in range(4) for a in "pr"]
    assert len(texts) == 6, "of the questions that are learned from alone"
    assert all(text in wanted for text in texts)
    corpus = [{"_id": f"{a}{n}", "text": f"{a} {n}"} for a in "pr" for n in range(4)]
    documents = write_json(tmp_path / "documents.json", corpus)
    told = split([data, "--documents", documents, "--out", str(tmp_path / "given")], capsys)
    assert told["n_lost_negatives"] == 5, "never four times, and p 4"


QUESTIONS = st.lists(st.sampled_from(["Tea?", "tea", " TEA ", "Téa", "sea", "Sea?", "b", "c", "d"]))


@given(questions=QUESTIONS, test=st.sampled_from([0.2, 0.5]), seed=st.integers(0, 3))
def test_all_spellings_of_a_question_are_on_one_side(
    tmp_path_factory: pytest.TempPathFactory, questions: list[str], test: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    pairs = [Pair(q, (f"answer {n}",), (), "", {}) for n, q in enumerate(["x", "y", *questions])]
    told = write_split(folder, pairs, None, Shares(test=test, seed=seed))
    sides = {side: read_beir(folder, side) for side in ("train", "test")}
    train, held_out = (
        {spelling(text) for text in sides[side].queries.values()} for side in ("train", "test")
    )
    assert train.isdisjoint(held_out)
    assert train | held_out == {spelling(pair.anchor) for pair in pairs}
    assert told.n_questions == {side: len(sides[side].queries) for side in ("train", "test")}
    found = {
        (dataset.queries[query], dataset.corpus[id])
        for dataset in sides.values()
        for query, grades in dataset.judgements.items()
        for id in grades
    }
    assert found == {(_first(pair.anchor, pairs), *pair.positives) for pair in pairs}


def _first(anchor: str, pairs: list[Pair]) -> str:
    """Return the text by which a question is written: the first that differs in spaces alone."""
    return next(p.anchor.strip() for p in pairs if plain(p.anchor) == plain(anchor))


WORDS = st.text("ab \u00e4", max_size=70)


@given(st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=4), st.data())
def test_parts_are_found_as_by_looking_everywhere(
    texts: list[str], others: list[str], data: st.DataObject
) -> None:
    documents = [Document(str(n), "", text) for n, text in enumerate(others)]
    for text in others:  # parts of them, at any place
        start = data.draw(st.integers(0, len(text)))
        texts = [*texts, text[start : start + data.draw(st.integers(0, 60))]]
    wanted = {plain(text) for text in texts}
    found = find_parts(wanted, documents)
    for text in wanted:
        holding = [d.id for d in documents if text in plain(d.whole)]
        assert found.get(text, []) == (holding[:2] if len(text) >= SHORTEST else [])


def test_what_equals_a_document_is_not_looked_for_inside_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(*_: object) -> dict[str, list[str]]:
        raise AssertionError("nothing is left to look for")

    def documents() -> Iterator[Document]:
        yield Document("a", "", "tea")

    monkeypatch.setattr(matching, "find_parts", none)
    assert settle({"tea": {"tea": ["a"]}}, documents)["tea"].how == "equal"


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([{"_id": 1, "text": "a"}, {"_id": "1", "text": "b"}], "document '1' appears twice"),
        ([{"_id": "a\tb", "text": "a"}], "line 1: the id 'a\\tb' cannot be written"),
        ([{"_id": '"a', "text": "a"}], "cannot be written into a table of judgements"),
        ([{"_id": " a", "text": "a"}], "cannot be written"),
        ([{"_id": "a", "text": 3}], "field 'text' must be text, got int"),
        ([{"id": "a", "text": "a"}], "has no key '_id': it has ['id', 'text']; say with --key"),
        ([{"_id": "a", "body": "a"}], "no document has the field 'title'"),
        ([{"_id": "a", "body": "a"}], "say with --on"),
        ([], "is empty; expected documents"),
        ([{"_id": "a", "text": "else"}], "none of the answers is a document"),
    ],
)
def test_documents_that_are_wrong_are_one_line_and_leave_nothing(
    faq: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    documents: list[dict[str, object]],
    message: str,
) -> None:
    path = write_json(tmp_path / "documents.json", documents)
    before = sorted(tmp_path.iterdir())
    argv = [faq, *FIELDS, "--documents", path, "--out", str(tmp_path / "out")]
    assert message in complaint(argv, capsys)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--test", "0"], "above 0 and below 1 together, got 0 and 0", 2),
        (["--test", "1"], "above 0 and below 1 together, got 1 and 0", 2),
        (["--test", "0.6", "--dev", "0.4"], "above 0 and below 1 together", 2),
        (["--test", "2"], "--test must be from 0 to 1, got 2", 2),
        (["--key", "id"], "--key and --on name fields of --documents", 2),
        (["--documents", "x", "--on", "a,"], "must name fields, got an empty name", 2),
        (["--documents", "nowhere.csv"], "'nowhere.csv' is not a file", 1),
        (["--anchor", "Farge"], "`Farge` is missing", 1),
        (["--test", "0.01", "--dev", "0.98"], "are too few", 1),
    ],
)
def test_options_that_are_wrong_are_one_line_and_leave_nothing(
    faq: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
    code: int,
) -> None:
    argv = [faq, *FIELDS, "--out", str(tmp_path / "out"), *options]
    assert message in complaint(argv, capsys, code)
    assert sorted(tmp_path.iterdir()) == [Path(faq)]


def test_one_question_cannot_be_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [{"question": q, "answer": "tea"} for q in ("What?", "what")]
    argv = [write_json(tmp_path / "pairs.json", pairs), "--out", str(tmp_path / "out")]
    assert "1 distinct questions with an answer are too few" in complaint(argv, capsys)
    argv[0] = write_json(tmp_path / "none.json", [])
    assert "none.json' is empty; expected pairs" in complaint(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_replaced_only_where_asked_and_only_what_was_written(
    faq: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = [faq, *FIELDS, "--out", str(out)]
    out.mkdir()
    split(argv, capsys)
    before = content(out)
    assert "is not empty; pass --overwrite" in complaint(argv, capsys)
    split([*argv, "--overwrite", "--seed", "1"], capsys)
    assert content(out).keys() == before.keys()
    assert content(out) != before
    (out / "mine.txt").write_text("mine")
    assert "holds 'mine.txt', which" in complaint([*argv, "--overwrite"], capsys)
    assert (out / "mine.txt").read_text() == "mine"
    (tmp_path / "file").touch()
    assert "is a file" in complaint([faq, *FIELDS, "--out", str(tmp_path / "file")], capsys)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("n_written", [0, 2])
def test_what_fails_on_the_way_leaves_what_was_there(
    faq: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    n_written: int,
) -> None:
    argv = [faq, *FIELDS, "--out", str(tmp_path / "out")]
    split(argv, capsys)
    before, listed = content(tmp_path / "out"), sorted(tmp_path.iterdir())
    write, calls = files.write, 0

    def failing(path: Path, chunks: Iterable[bytes]) -> None:
        nonlocal calls
        calls += 1
        if calls > n_written:
            raise error
        write(path, chunks)

    monkeypatch.setattr(files, "write", failing)
    code = 1 if isinstance(error, OSError) else 130
    complaint([*argv, "--overwrite", "--seed", "1"], capsys, code)
    assert content(tmp_path / "out") == before
    assert sorted(tmp_path.iterdir()) == listed


def test_pairs_come_from_standard_input_too(
    faq: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split([faq, *FIELDS, "--out", str(tmp_path / "file")], capsys)
    argv = [sys.executable, "-m", "glane", "split", "-", *FIELDS, "--out", "piped"]
    given = Path(faq).read_bytes()
    subprocess.run(argv, input=given, cwd=tmp_path, env=os.environ, check=True, capture_output=True)
    assert content(tmp_path / "piped") == content(tmp_path / "file")
    told = complaint(["-", "--documents", "-", "--out", str(tmp_path / "x")], capsys, 2)
    assert "cannot both be standard input" in told


def test_texts_that_cannot_be_written_as_they_are_are_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        '{"query": "lone \\ud800", "answer": "a \\udfff b"}',
        '{"query": "two\\nlines", "answer": "tab\\there \\u2028"}',
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    split([str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "out")], capsys)
    sides = [read_beir(tmp_path / "out", side) for side in ("train", "test")]
    asked = {text for dataset in sides for text in dataset.queries.values()}
    assert asked == {"lone \ufffd", "two\nlines"}
    assert list(sides[0].corpus.values()) == ["a \ufffd b", "tab\there"]
