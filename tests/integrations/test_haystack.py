"""Haystack's components over an index and a model, alone and in pipelines."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from haystack import Document, Pipeline

from glane import CheckpointError, ColBERT, Search, TextReranker
from glane.integrations.haystack import GlaneRanker, GlaneRetriever

FIXTURES = Path(__file__).parents[1] / "fixtures"
HERE = "glane.integrations.haystack"


def ids(found: dict[str, list[Document]]) -> list[str]:
    return [document.id for document in found["documents"]]


def test_what_a_search_finds_comes_as_documents_in_its_order(search: Search) -> None:
    hits = search.search(["tea"], k=10).to_lists()[0]
    retriever = GlaneRetriever(search)
    found = retriever.run("tea")
    assert ids(found) == [str(hit["id"]) for hit in hits]
    assert [each.score for each in found["documents"]] == [hit["score"] for hit in hits]
    assert [each.meta["_id"] for each in found["documents"]] == [hit["id"] for hit in hits]
    (tea,) = [each for each in found["documents"] if each.id == "tea"]
    assert tea.content == "Tea green tea and black tea"
    assert tea.meta["tags"] == ["drink", "leaf"]
    assert asyncio.run(retriever.run_async("tea")) == found
    assert len(retriever.run("tea", top_k=2)["documents"]) == 2
    assert retriever.run("") == {"documents": []}


def test_a_folder_is_opened_by_warm_up_or_when_it_is_asked(make_index: Callable[..., Path]) -> None:
    retriever = GlaneRetriever(make_index(), top_k=1)
    assert len(retriever.run("tea")["documents"]) == 1
    with pytest.raises(ValueError, match="keeps no documents"):
        GlaneRetriever(make_index(keeps=False)).warm_up()
    with pytest.raises(CheckpointError):
        GlaneRetriever("nowhere").warm_up()
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        GlaneRetriever("nowhere", top_k=0)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        retriever.run("tea", top_k=0)


def one(field: str, operator: str, value: object) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


ALL = {"tea", "7", "é \U0001f375", "twin", "long"}
ONE: list[tuple[dict[str, Any], set[str]]] = [
    (one("meta.year", "==", 2020), {"tea", "long"}),
    (one("year", "==", 2020), {"tea", "long"}),
    (one("meta.year", "!=", 2020), {"7", "é \U0001f375", "twin"}),
    (one("meta.year", ">", 2020), {"7", "é \U0001f375"}),
    (one("meta.year", ">=", 2021), {"7", "é \U0001f375"}),
    (one("meta.year", "<", 2021), {"tea", "long"}),
    (one("meta.year", "<=", 2020), {"tea", "long"}),
    (one("meta.year", ">", None), set()),
    (one("meta.year", "==", None), {"twin"}),
    (one("meta.year", "!=", None), ALL - {"twin"}),
    (one("meta.year", "in", [2020, 1999]), {"tea", "long"}),
    (one("meta.year", "in", [2020, None]), {"tea", "long", "twin"}),
    (one("meta.year", "in", []), set()),
    (one("meta.year", "not in", [2020]), ALL - {"tea", "long"}),
    (one("meta.year", "not in", [2020, None]), {"7", "é \U0001f375"}),
    (one("meta.tags", "==", "leaf"), {"tea", "long"}),
    (one("meta.day", ">=", "2024-05-01"), {"tea"}),
    ({"operator": "AND", "conditions": []}, ALL),
    ({"operator": "OR", "conditions": []}, set()),
    ({"operator": "NOT", "conditions": []}, set()),
]
BOTH = [one("meta.lang", "==", "en"), one("meta.year", "==", 2020)]
JOINED: list[tuple[dict[str, Any], set[str]]] = [
    ({"operator": "AND", "conditions": BOTH}, {"tea"}),
    ({"operator": "OR", "conditions": BOTH}, {"tea", "twin", "long"}),
    ({"operator": "NOT", "conditions": BOTH}, ALL - {"tea"}),
    (
        {"operator": "NOT", "conditions": [{"operator": "OR", "conditions": BOTH}]},
        {"7", "é \U0001f375"},
    ),
]


@pytest.mark.parametrize(("filters", "expected"), [*ONE, *JOINED])
def test_filters_keep_what_they_say(
    filters: dict[str, Any], expected: set[str], make_index: Callable[..., Path]
) -> None:
    search = Search.load(make_index(), threads=1)
    assert set(ids(GlaneRetriever(search).run("tea", filters=filters))) == expected
    assert set(ids(GlaneRetriever(search, filters=filters).run("tea"))) == expected


def test_filters_of_a_run_take_the_place_of_the_others(search: Search) -> None:
    retriever = GlaneRetriever(search, filters=one("meta.year", "==", 2021))
    assert ids(retriever.run("tea")) == ["7"]
    assert set(ids(retriever.run("tea", filters=BOTH[1]))) == {"tea", "long"}
    assert set(ids(retriever.run("tea", filters={}))) == ALL


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"year": 2020}, "filters must have `field`, `operator` and `value`"),
        ({"operator": "XOR", "conditions": []}, "filters must have"),
        ({"operator": "AND", "conditions": [3]}, "filters must have"),
        ({"field": "meta.year", "operator": "=="}, "filters must have"),
        (one("meta.year", "~", 2020), "by '~' of 2020 is none of Haystack's"),
        (one("meta.year", "in", 2020), "by 'in' of 2020 is none of Haystack's"),
        (one("meta.langue", "==", "en"), "no field 'langue' to filter by"),
        (one("content", "==", "tea"), "no field 'content' to filter by"),
        (one("meta.year", "==", "then"), "must be of type int"),
        (one("meta.year", "==", [2020]), "several values"),
        (one("meta.lang", ">", "en"), "has no order"),
    ],
)
def test_what_cannot_be_filtered_by_is_refused(
    filters: dict[str, Any], message: str, make_index: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        GlaneRetriever(make_index()).run("tea", filters=filters)


def test_a_field_that_is_called_meta_is_found() -> None:
    from glane import BM25

    search = Search(BM25(), fields={"meta.year": "int"}, keep_documents=True)
    search.add([{"id": year, "text": "tea", "meta": {"year": year}} for year in (1, 2)])
    assert ids(GlaneRetriever(search).run("tea", filters=one("meta.year", "==", 2))) == ["2"]


@pytest.mark.parametrize("name", ["colbert", "splade", "sparse-embed"])
def test_any_documents_are_ordered_by_any_model(name: str) -> None:
    texts = ["tea", "", "a leaf", "tea", "stone " * 90 + "tea", "東京 \U0001f375"]
    documents = [Document(id=f"d{n}", content=text, meta={"n": n}) for n, text in enumerate(texts)]
    ranked = TextReranker.load(FIXTURES / name).rerank("tea", texts)
    ranker = GlaneRanker(FIXTURES / name)
    found = ranker.run("tea", documents)
    assert [(each.meta["n"], each.score) for each in found["documents"]] == ranked
    assert ids(found) == [f"d{place}" for place, _ in ranked]
    assert [each.score for each in documents] == [None] * len(texts)
    assert ranker.run("tea", documents, top_k=2)["documents"] == found["documents"][:2]
    assert asyncio.run(ranker.run_async("tea", documents)) == found
    assert ranker.run("tea", []) == {"documents": []}


def test_what_has_no_text_is_refused() -> None:
    ranker = GlaneRanker(FIXTURES / "colbert")
    with pytest.raises(ValueError, match="document 'picture' has no text to be ordered by"):
        ranker.run("tea", [Document(id="picture", meta={"x": 1})])
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        ranker.run("tea", [Document(content="tea")], top_k=0)


def pipeline(index: str | Path | Search, model: str | Path | TextReranker) -> Pipeline:
    made = Pipeline()
    filters = one("meta.year", ">=", 2020)
    made.add_component("retriever", GlaneRetriever(index, top_k=4, filters=filters))
    made.add_component("ranker", GlaneRanker(model, top_k=2))
    made.connect("retriever.documents", "ranker.documents")
    return made


QUESTION: dict[str, Any] = {"retriever": {"query": "tea"}, "ranker": {"query": "tea"}}


def test_a_pipeline_is_written_and_read_again(make_index: Callable[..., Path]) -> None:
    folder = make_index()
    first = pipeline(folder, str(FIXTURES / "colbert"))
    found = first.run(QUESTION)
    assert len(found["ranker"]["documents"]) == 2
    again = Pipeline.loads(first.dumps(), allowed_modules=[HERE])
    assert again.run(QUESTION) == found
    assert again.to_dict() == first.to_dict()
    loaded = pipeline(Search.load(folder), TextReranker(ColBERT.load(FIXTURES / "colbert")))
    assert loaded.run(QUESTION) == found
    assert Pipeline.loads(loaded.dumps(), allowed_modules=[HERE]).run(QUESTION) == found


def test_a_search_without_a_folder_is_not_written(make_index: Callable[..., Path]) -> None:
    from glane import BM25

    with pytest.raises(ValueError, match="lies in no folder to be named; save it first"):
        GlaneRetriever(Search(BM25(), keep_documents=True)).to_dict()
