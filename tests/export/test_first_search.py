"""The road of `docs/first-search.md`: its very commands, on raw files as people have them."""

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from glane.collection.dataset import read_beir
from glane.collection.rows import Rows
from glane.commands.main import main

PAGE = Path(__file__).parents[2] / "docs" / "first-search.md"

N_ENGLISH, N_GERMAN, N_OTHERS = 90, 60, 200

ARTICLE = {"headline": "Raps", "body": "Raps blüht von April bis Juni; im Norden später."}
"""The article of the page that its search finds."""


def commands() -> list[list[str]]:
    """Return the words of each command of the page."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def answered(folder: Path, split: str, n: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Return n pairs of question and document id, and the ids of all documents."""
    dataset = read_beir(folder, split)
    pairs = [
        (dataset.queries[query], id)
        for query, grades in dataset.judgements.items()
        for id, grade in grades.items()
        if grade > 0
    ]
    return pairs[:: len(pairs) // n][:n], list(dataset.corpus)


@pytest.fixture
def raw(data_folder: Path, tmp_path: Path) -> Path:
    """Pairs in a table and articles in an array, of two languages."""
    articles: list[dict[str, Any]] = [ARTICLE]
    rows = [("Wann blüht der Raps?", ARTICLE["body"])]
    for name, split, n in (("medquad", "train", N_ENGLISH), ("xquad-de", "test", N_GERMAN)):
        pairs, ids = answered(data_folder / name, split, n)
        needed = dict.fromkeys([id for _, id in pairs] + ids[:N_OTHERS])
        records = {
            record["_id"]: record
            for _, record in Rows(data_folder / name / "corpus.jsonl")
            if record["_id"] in needed
        }
        rows += [(question, records[id]["text"]) for question, id in pairs]
        articles += [
            {"headline": records[id]["title"] or None, "body": records[id]["text"]} for id in needed
        ]
    numbered = [{"article_id": n, **article} for n, article in enumerate(articles, 1)]
    (tmp_path / "articles.json").write_text(json.dumps(numbered, ensure_ascii=False, indent=1))
    with (tmp_path / "faq.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("Frage", "Antwort"), *rows])
    return tmp_path


@pytest.mark.data
def test_the_road_of_the_page_goes_from_raw_files_to_a_search(
    raw: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(raw)
    told: list[dict[str, Any]] = []
    for words in commands():
        if words[0] == "train":
            words[words.index("--base") + 1] = str(base)
            words += ["--max-steps", "4", "--document-length", "24", "--dim", "8"]
        assert main([*words, "--json", "--threads", "1"]) == 0, capsys.readouterr().err
        told.append(json.loads(capsys.readouterr().out))
    split, trained, exported, indexed, alone, fused, found = told
    assert split["n_pairs"] == 1 + N_ENGLISH + N_GERMAN
    assert split["answers"]["none"] == 0
    assert split["answers"]["equal"] + split["answers"]["several"] == split["n_pairs"]
    n_questions = split["n_questions"]
    assert n_questions["train"] > 3 * n_questions["test"] > 0
    assert trained["counts"]["without_negatives"] == trained["examples"] > 0
    assert "does not know their language" in trained["remark"], "its words are of another kind"
    assert exported["precision"] == "int8"
    n_articles = len(json.loads((raw / "articles.json").read_text()))
    assert split["n_documents"] == indexed["n_documents"] == n_articles
    for result in (alone, fused):
        assert result["n_queries"] == n_questions["test"]
        assert result["n_unknown_documents"] == 0
    assert [result["reranker"] for result in (alone, fused)] == [None, "ColBERT"]
    assert list(fused["metrics_by_ranking"]) == ["retriever", "reranked", "fused"]
    assert alone["metrics"]["ndcg@10"] > 0.5
    documents = [hit["document"] for hit in found["hits"]]
    assert {"article_id": 1, **ARTICLE} in documents
    assert [hit["id"] for hit in found["hits"]] == [each["article_id"] for each in documents]


def test_the_page_tells_each_step_of_the_road() -> None:
    names = [words[0] for words in commands()]
    assert names == ["split", "train", "export", "index", *["evaluate"] * 2, "search"]
