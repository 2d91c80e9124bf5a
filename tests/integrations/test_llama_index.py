"""LlamaIndex's classes over an index and a model, called as LlamaIndex calls them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import ImageNode, NodeWithScore, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from glane import CheckpointError, Search, Splade, TextReranker
from glane.integrations.llama_index import GlaneReranker, GlaneRetriever, GlaneSparseEmbedding

FIXTURES = Path(__file__).parents[1] / "fixtures"


def ids(nodes: list[NodeWithScore]) -> list[str]:
    return [node.node.node_id for node in nodes]


def test_what_a_search_finds_comes_as_nodes_in_its_order(search: Search) -> None:
    hits = search.search(["tea"], k=10).to_lists()[0]
    retriever = GlaneRetriever(search)
    found = retriever.retrieve("tea")
    assert ids(found) == [str(hit["id"]) for hit in hits]
    assert [node.score for node in found] == [hit["score"] for hit in hits]
    assert [node.node.metadata["_id"] for node in found] == [hit["id"] for hit in hits]
    (tea,) = [node.node for node in found if node.node.node_id == "tea"]
    assert tea.get_content() == "Tea green tea and black tea"
    assert tea.metadata["year"] == 2020
    assert asyncio.run(retriever.aretrieve("tea")) == found
    assert retriever.retrieve("") == []


def test_an_index_is_opened_by_its_folder(make_index: Callable[..., Path]) -> None:
    assert len(GlaneRetriever(str(make_index()), k=2).retrieve("tea")) == 2
    with pytest.raises(ValueError, match="keeps no documents"):
        GlaneRetriever(make_index(keeps=False))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        GlaneRetriever(make_index(), k=0)


ONE: list[tuple[str, str, Any, set[str]]] = [
    ("year", "==", 2020, {"tea", "long"}),
    ("year", "!=", 2020, {"7", "é \U0001f375", "twin"}),
    ("year", ">", 2020, {"7", "é \U0001f375"}),
    ("year", ">=", 2021, {"7", "é \U0001f375"}),
    ("year", "<", 2021, {"tea", "long"}),
    ("year", "<=", 2020, {"tea", "long"}),
    ("year", "in", [2020, 1999], {"tea", "long"}),
    ("year", "nin", [2020, 2021], {"é \U0001f375", "twin"}),
    ("lang", "==", "en", {"tea", "twin"}),
    ("price", "<", 3.5, {"tea"}),
    ("day", ">=", "2024-05", {"tea"}),
    ("tags", "contains", "leaf", {"tea", "long"}),
    ("tags", "any", ["drink", "none"], {"tea"}),
    ("tags", "all", ["drink", "leaf"], {"tea"}),
    ("tags", "is_empty", None, {"7", "é \U0001f375", "twin"}),
]


@pytest.mark.parametrize(("key", "operator", "value", "expected"), ONE)
def test_a_filter_keeps_what_it_says(
    key: str,
    operator: str,
    value: str | list[str],
    expected: set[str],
    make_index: Callable[..., Path],
) -> None:
    given = MetadataFilter(key=key, operator=FilterOperator(operator), value=value)
    retriever = GlaneRetriever(make_index(), filters=MetadataFilters(filters=[given]))
    assert set(ids(retriever.retrieve("tea"))) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (FilterCondition.AND, {"tea"}),
        (None, {"tea"}),
        (FilterCondition.OR, {"tea", "twin", "long"}),
        (FilterCondition.NOT, {"7", "é \U0001f375"}),
    ],
)
def test_filters_are_joined_and_nested(
    condition: FilterCondition | None, expected: set[str], search: Search
) -> None:
    given = MetadataFilters(
        filters=[
            MetadataFilters(filters=[MetadataFilter(key="lang", value="en")]),
            MetadataFilter(key="year", value=2020),
        ],
        condition=condition,
    )
    assert set(ids(GlaneRetriever(search, filters=given).retrieve("tea"))) == expected


@pytest.mark.parametrize("condition", list(FilterCondition))
def test_no_filters_keep_all(condition: FilterCondition, search: Search) -> None:
    none = MetadataFilters(filters=[], condition=condition)
    assert len(GlaneRetriever(search, filters=none).retrieve("tea")) == 5


def test_filters_in_the_words_of_glane_are_taken(search: Search) -> None:
    assert ids(GlaneRetriever(search, filters="year = 2021").retrieve("tea")) == ["7"]


@pytest.mark.parametrize(
    ("key", "operator", "value", "message"),
    [
        ("lang", "text_match", "e", "by 'text_match' of 'e' cannot be kept by glane"),
        ("lang", "text_match_insensitive", "e", "cannot be kept"),
        ("year", "nin", 2020, "by 'nin' of 2020 cannot be kept"),
        ("tags", "all", "leaf", "by 'all' of 'leaf' cannot be kept"),
        ("langue", "==", "en", "no field 'langue' to filter by"),
        ("year", "==", "then", "must be of type int"),
        ("lang", ">", "en", "has no order"),
        ("lang", "==", None, "ask whether it exists"),
        ("lang", "any", "en", "in"),
    ],
)
def test_what_cannot_be_filtered_by_is_refused(
    key: str, operator: str, value: str, message: str, make_index: Callable[..., Path]
) -> None:
    given = MetadataFilter(key=key, operator=FilterOperator(operator), value=value)
    with pytest.raises(ValueError, match=message):
        GlaneRetriever(make_index(), filters=MetadataFilters(filters=[given])).retrieve("tea")


def nodes(*texts: str) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=str(place), text=text), score=0.5)
        for place, text in enumerate(texts)
    ]


@pytest.mark.parametrize("name", ["colbert", "splade", "sparse-embed"])
def test_any_nodes_are_ordered_by_any_model(name: str) -> None:
    texts = ["tea", "", "a leaf", "tea", "stone " * 90 + "tea", "東京 \U0001f375"]
    ranked = TextReranker.load(FIXTURES / name).rerank("tea", texts)
    reranker = GlaneReranker(FIXTURES / name)
    given = nodes(*texts)
    found = reranker.postprocess_nodes(given, query_str="tea")
    assert [(int(node.node.node_id), node.score) for node in found] == ranked
    assert [node.score for node in given] == [0.5] * len(texts)
    assert asyncio.run(reranker.apostprocess_nodes(given, query_str="tea")) == found
    assert (
        GlaneReranker(FIXTURES / name, k=2).postprocess_nodes(given, query_str="tea") == found[:2]
    )
    assert reranker.postprocess_nodes([], query_str="tea") == []


def test_nodes_are_read_as_an_embedding_model_reads_them() -> None:
    reranker = GlaneReranker(FIXTURES / "colbert")
    told = TextNode(text="leaf", metadata={"about": "tea"})
    hidden = TextNode(text="leaf", metadata={"x": "y"}, excluded_embed_metadata_keys=["x"])
    image = ImageNode(image_path="leaf.png")
    given = [NodeWithScore(node=node) for node in (told, hidden, image)]
    texts = ["about: tea\n\nleaf", "leaf", ""]
    found = reranker.postprocess_nodes(given, query_str="tea")
    assert [node.score for node in found] == [
        score for _, score in reranker.model.rerank("tea", texts)
    ]


def test_nodes_of_an_index_score_as_in_it(make_index: Callable[..., Path]) -> None:
    search = Search.load(make_index(), threads=1)
    assert search.reranker is not None
    found = GlaneRetriever(search).retrieve("tea")
    ranked = GlaneReranker(TextReranker(search.reranker)).postprocess_nodes(found, query_str="tea")
    expected = search.search(["tea"], fuse="none").to_lists()[0]
    assert [(node.node.metadata["_id"], node.score) for node in ranked][:1] == [
        (hit["id"], hit["score"]) for hit in expected
    ][:1]
    assert {(node.node.metadata["_id"], node.score) for node in ranked} == {
        (hit["id"], hit["score"]) for hit in expected
    }


def test_nodes_without_a_query_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes are ordered for a query, got none"):
        GlaneReranker(FIXTURES / "colbert").postprocess_nodes(nodes("tea"))


def test_a_reranker_is_written_down_by_its_folder() -> None:
    reranker = GlaneReranker(FIXTURES / "colbert", k=3)
    written = reranker.to_dict()
    assert written == {
        "model": str(FIXTURES / "colbert"),
        "k": 3,
        "class_name": "GlaneReranker",
    }
    again = GlaneReranker.from_dict(written)
    given = nodes("tea", "leaf", "stone", "sea")
    assert again.postprocess_nodes(given, query_str="tea") == reranker.postprocess_nodes(
        given, query_str="tea"
    )


@pytest.mark.parametrize("name", ["splade", "splade-inference-free"])
def test_embeddings_are_the_terms_of_the_model(name: str) -> None:
    splade, texts = Splade.load(FIXTURES / name), ["tea", "", "a leaf of tea", "tea"]
    embedding = GlaneSparseEmbedding(FIXTURES / name, embed_batch_size=3)

    def terms(vectors: Any) -> list[dict[str, float]]:  # noqa: ANN401
        return splade.decode(vectors)

    def named(weights: dict[int, float]) -> dict[str, float]:
        return {splade.encoder.preparer.token(term): weight for term, weight in weights.items()}

    query = embedding.get_query_embedding("a leaf of tea")
    assert named(query) == terms(splade.encode_queries(["a leaf of tea"]))[0]
    batch = embedding.get_text_embedding_batch(texts)
    assert [named(weights) for weights in batch] == terms(splade.encode_documents(texts))
    assert asyncio.run(embedding.aget_text_embedding_batch(texts)) == batch
    assert asyncio.run(embedding.aget_query_embedding("a leaf of tea")) == query
    assert asyncio.run(embedding.aget_text_embedding("tea")) == embedding.get_text_embedding("tea")
    assert embedding.get_text_embedding("tea") == batch[0] == batch[3]
    assert embedding.get_text_embedding_batch([]) == []
    assert embedding.to_payload()["model_name"] == str(FIXTURES / name)
    assert GlaneSparseEmbedding(splade).get_query_embedding("a leaf of tea") == query


def test_embeddings_of_another_kind_of_model_are_refused() -> None:
    with pytest.raises(CheckpointError, match="colbert"):
        GlaneSparseEmbedding(FIXTURES / "colbert")
