"""LangChain's classes over an index and a model, called as LangChain calls them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField, RunnableLambda

from glane import Search, TextReranker
from glane.integrations.langchain import GlaneReranker, GlaneRetriever

FIXTURES = Path(__file__).parents[1] / "fixtures"


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_what_a_search_finds_comes_as_documents_in_its_order(search: Search) -> None:
    hits = search.search(["tea"], k=10).to_lists()[0]
    found = GlaneRetriever(search).invoke("tea")
    assert ids(found) == [str(hit["id"]) for hit in hits]
    assert [each.metadata["_id"] for each in found] == [hit["id"] for hit in hits]
    assert [each.metadata["relevance_score"] for each in found] == [hit["score"] for hit in hits]
    by_id = {document.id: document for document in found}
    assert by_id["tea"].page_content == "Tea green tea and black tea"
    assert by_id["7"].page_content == "a river in spring, and tea"
    rest = {name: by_id["tea"].metadata[name] for name in ("title", "year", "tags", "nested")}
    expected = {
        "title": "Tea",
        "year": 2020,
        "tags": ["drink", "leaf"],
        "nested": {"deep": [1, None]},
    }
    assert rest == expected
    assert "text" not in by_id["tea"].metadata


def test_an_index_is_opened_by_its_folder(make_index: Callable[..., Path]) -> None:
    folder = make_index()
    assert ids(GlaneRetriever(folder, k=2).invoke("tea")) == ids(
        GlaneRetriever(str(folder), k=2).invoke("tea")
    )


def test_filter_and_k_are_of_the_retriever_or_of_one_question(search: Search) -> None:
    retriever = GlaneRetriever(search, k=2, filter={"lang": "en"})
    assert sorted(map(str, ids(retriever.invoke("tea")))) == ["tea", "twin"]
    assert ids(retriever.invoke("tea", filter="year = 2021")) == ["7"]
    assert len(retriever.invoke("tea", k=1)) == 1
    assert retriever.invoke("nothing of it", filter='lang = "xx"') == []
    with pytest.raises(ValueError, match="no field 'langue' to filter by"):
        retriever.invoke("tea", filter='langue = "en"')


def test_awaited_it_answers_the_same(search: Search) -> None:
    retriever = GlaneRetriever(search)

    async def ask() -> list[list[Document]]:
        return list(await asyncio.gather(*(retriever.ainvoke("tea", k=3) for _ in range(8))))

    assert all(found == retriever.invoke("tea", k=3) for found in asyncio.run(ask()))
    filtered = asyncio.run(retriever.ainvoke("tea", filter="year = 2021"))
    assert ids(filtered) == ["7"]
    assert retriever.batch(["tea", "", "river"]) == [
        retriever.invoke(query) for query in ("tea", "", "river")
    ]


def test_it_is_a_runnable_that_can_be_configured_and_chained(search: Search) -> None:
    retriever = GlaneRetriever(search, tags=["mine"])
    configurable = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert len(configurable.invoke("tea", config={"configurable": {"k": 1}})) == 1

    def first_text(found: list[Document]) -> str:
        return found[0].page_content

    chain = retriever | RunnableLambda(first_text)
    assert chain.invoke("river spring") == "a river in spring, and tea"


def test_what_has_changed_on_disk_is_found_after_a_refresh(search: Search) -> None:
    retriever = GlaneRetriever(search)
    assert search.origin is not None
    with Search.edit(search.origin.folder, threads=1) as writer:
        writer.add([{"_id": "comet", "title": "", "text": "a comet"}])
    assert retriever.invoke("comet") == []
    assert retriever.index.refresh()
    assert ids(retriever.invoke("comet", k=1)) == ["comet"]


def test_an_index_without_documents_is_refused(make_index: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="keeps no documents, and a framework wants their texts"):
        GlaneRetriever(make_index(keeps=False))


def test_ids_that_are_the_same_as_text_are_refused(make_index: Callable[..., Path]) -> None:
    documents = [{"_id": id, "title": "", "text": "tea"} for id in (7, "7")]
    retriever = GlaneRetriever(make_index(documents))
    with pytest.raises(ValueError, match="two are the same as text"):
        retriever.invoke("tea")
    assert len(retriever.invoke("tea", k=1)) == 1


def test_k_below_one_is_refused(make_index: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        GlaneRetriever(make_index(), k=0)
    with pytest.raises(ValueError, match="k must be at least 1, got -1"):
        GlaneReranker(FIXTURES / "colbert", k=-1)


@pytest.mark.parametrize("name", ["colbert", "splade", "sparse-embed"])
def test_any_documents_are_ordered_by_any_model(name: str) -> None:
    texts = ["tea", "", "a leaf", "tea", "stone " * 90 + "tea", "東京 \U0001f375"]
    documents = [
        Document(page_content=text, metadata={"place": place}) for place, text in enumerate(texts)
    ]
    ranked = TextReranker.load(FIXTURES / name).rerank("tea", texts)
    found = GlaneReranker(FIXTURES / name).compress_documents(documents, "tea")
    assert [(d.metadata["place"], d.metadata["relevance_score"]) for d in found] == ranked
    assert [d.page_content for d in found] == [texts[place] for place, _ in ranked]
    assert all(document.metadata.keys() == {"place"} for document in documents)
    first = GlaneReranker(FIXTURES / name, k=2)
    assert first.compress_documents(documents, "tea") == found[:2]
    assert asyncio.run(first.acompress_documents(documents, "tea")) == found[:2]
    assert first.compress_documents([], "tea") == []


def test_one_loaded_model_is_shared(search: Search) -> None:
    reranker = TextReranker.load(FIXTURES / "colbert")
    compressor = GlaneReranker(reranker, k=1)
    assert compressor.model is reranker
    assert len(compressor.compress_documents(GlaneRetriever(search).invoke("tea"), "river")) == 1
