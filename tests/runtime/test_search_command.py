"""`glane search`: what it shows of its hits, on a terminal, in a pipe and on a page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from glane.commands import search as command
from glane.commands.main import main
from glane.commands.page import page

MODEL = Path(__file__).parent.parent / "fixtures" / "colbert-int8"
HOSTILE = "tea <script>alert(1)</script> \x1b[31m & \"leaf\" 'x' \u202e\ud800"
DOCUMENTS = [
    {"_id": "leaf", "title": "Tea  leaves", "text": "Plants eat light. " * 30 + "Leaves make tea."},
    {"_id": "sea", "title": "", "text": "Rivers run to the sea."},
    {"_id": "bad", "title": HOSTILE, "text": HOSTILE},
    {"_id": 7, "title": "Empty", "text": ""},
]


@pytest.fixture
def index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path, made = tmp_path / "docs.jsonl", str(tmp_path / "index")
    path.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    argv = ["index", made, "--documents", str(path), "--retriever", "bm25"]
    assert main([*argv, "--reranker", str(MODEL)]) == 0
    capsys.readouterr()
    return made


def answer(argv: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_hit_has_its_title_and_the_piece_that_answers(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hit = next(h for h in answer(["search", index, "tea"], capsys)["hits"] if h["id"] == "leaf")
    assert hit["title"] == "Tea leaves"
    passage = hit["passage"]
    assert [passage["text"][low:high] for low, high in passage["marks"]] == ["tea"]
    assert (passage["is_begun"], passage["is_ended"]) == (True, True)
    assert main(["search", index, "tea"]) == 0
    told = capsys.readouterr().out
    assert "Leaves make tea." in told
    assert "\x1b" not in told


def test_offsets_are_pages_of_one_ranking(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = answer(["search", index, "tea leaf sea", "-k", "4"], capsys)["hits"]
    second = answer(["search", index, "tea leaf sea", "-k", "2", "--offset", "1"], capsys)
    assert [hit["id"] for hit in second["hits"]] == [hit["id"] for hit in whole[1:3]]
    assert second["offset"] == 1
    assert answer(["search", index, "tea", "--offset", "99"], capsys)["hits"] == []


def test_queries_come_from_a_file_of_lines_or_of_records(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.txt").write_text("tea\n\nsea\n")
    (tmp_path / "q.csv").write_text("id,question\na,tea\nb,sea\n")
    wanted = [answer(["search", index, query], capsys)["hits"] for query in ("tea", "sea")]
    for name, ids in (("q.txt", ["1", "3"]), ("q.csv", ["a", "b"])):
        found = answer(["search", index, "--queries", str(tmp_path / name)], capsys)["queries"]
        assert [(each["id"], each["query"]) for each in found] == list(
            zip(ids, ["tea", "sea"], strict=True)
        )
        assert [each["hits"] for each in found] == wanted
    (tmp_path / "empty.jsonl").write_text('{"id": "", "text": "tea"}\n')
    assert main(["search", index, "--queries", str(tmp_path / "empty.jsonl")]) == 0
    capsys.readouterr()
    (tmp_path / "none.txt").write_text("\n \n")
    for argv, told in (
        (["--queries", str(tmp_path / "none.txt")], "expected a query a line"),
        (["tea", "--queries", str(tmp_path / "q.txt")], "either a QUERY"),
        ([], "either a QUERY"),
    ):
        assert main(["search", index, *argv]) != 0
        assert told in capsys.readouterr().err


def test_explanations_add_up_and_name_both_parts(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(["search", index, "tea leaves", "--explain"], capsys)
    for rank, hit in enumerate(found["hits"], 1):
        told = hit["explanation"]
        assert told["rank"] == rank
        assert told["score"] == pytest.approx(hit["score"], abs=1e-6)
        parts = [told["retriever"], told["reranker"]]
        assert [part["stage"] for part in parts] == ["BM25", "ColBERT"]
        assert sum(part["share"] for part in parts) == pytest.approx(hit["score"], abs=1e-5)
        for part in parts:
            total = sum(share["score"] for share in part["shares"])
            assert total == pytest.approx(part["score"], abs=1e-5)


def test_a_filter_is_explained_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, made = tmp_path / "docs.jsonl", str(tmp_path / "index")
    path.write_text(
        "".join(json.dumps({"_id": n, "text": f"tea {n}", "n": n}) + "\n" for n in range(9))
    )
    argv = ["index", made, "--documents", str(path), "--retriever", "bm25", "--fields", "n:int"]
    assert main([*argv, "--reranker", str(MODEL)]) == 0
    capsys.readouterr()
    found = answer(["search", made, "tea", "--where", "n > 5", "--explain"], capsys)["hits"]
    assert sorted(hit["id"] for hit in found) == [6, 7, 8]
    assert [hit["explanation"]["rank"] for hit in found] == [1, 2, 3]
    for hit in found:
        assert hit["explanation"]["score"] == pytest.approx(hit["score"], abs=1e-6)


def test_colours_are_the_programs_own(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["search", index, "tea leaf", "--explain"], capsys)
    painted = command.paint(found)
    assert "\x1b[1;32mtea\x1b[0m" in painted
    plain = painted.replace("\x1b[1;32m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert "\x1b" not in plain
    assert "\u202e" not in plain
    assert plain.replace("\\u001b", "\x1b") == command.show(found).replace("\\u001b", "\x1b")


class Page(HTMLParser):
    """Collects what is on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.marked: list[str] = []
        self.words: list[str] = []
        self.depth = self.inside = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.depth += tag == "mark"
        self.inside += tag == "span" and ("class", "word") in attrs
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "mark"
        self.inside -= tag == "span" and self.inside > 0

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.marked.append(data)
        if self.inside:
            self.words.append(data)


def test_the_page_marks_the_matches_and_runs_nothing(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    (tmp_path / "q.txt").write_text("tea leaf <b>\nnothing of all this\n")
    argv = ["search", index, "--queries", str(tmp_path / "q.txt"), "--html", str(target)]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert f"the page is {target}" in told
    assert "BM25" not in told  # which --explain asks for
    text = target.read_text(encoding="utf-8")
    found = Page(text)
    assert "script" not in found.tags
    assert "b" not in found.tags
    assert found.tags.count("article") >= 2
    assert "".join(found.marked)  # pieces of words that the model's tokens are
    assert "tea" in "".join(found.words).lower()
    assert not [name for name in tmp_path.iterdir() if name.name.startswith(".")]


def test_a_page_without_hits_says_so() -> None:
    found = Page(page("index", [{"query": "x", "hits": []}]))
    assert found.tags.count("article") == 0
    assert "0 documents" in page("index", [{"query": "x", "hits": []}])


def test_without_documents_a_search_shows_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, made = tmp_path / "docs.jsonl", str(tmp_path / "index")
    path.write_text(json.dumps(DOCUMENTS[1]) + "\n")
    argv = ["index", made, "--documents", str(path), "--retriever", "bm25", "--no-documents"]
    assert main(argv) == 0
    capsys.readouterr()
    (hit,) = answer(["search", made, "sea", "--explain"], capsys)["hits"]
    assert set(hit) == {"id", "score", "explanation"}
    assert hit["explanation"]["fields"] == {}
    assert main(["search", made, "sea", "--html", str(tmp_path / "page.html")]) == 0
