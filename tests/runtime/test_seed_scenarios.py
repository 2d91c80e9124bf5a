"""What neural-cherche's README and pages do, as `docs/coming-from-neural-cherche.md` says it.

The models are random, so that only BM25 and TfIdf are asked whether they find the right document.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane import (
    BM25,
    Analyzer,
    ColBERT,
    Search,
    SparseEmbed,
    SparseVectors,
    Splade,
    TermEmbeddings,
    TfIdf,
    TokenVectors,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"

DOCUMENTS = [
    {"id": "doc1", "title": "Paris", "text": "The Seine runs through Paris, seat of government."},
    {"id": "doc2", "title": "Montreal", "text": "Montreal lies on an island of its own river."},
    {"id": "doc3", "title": "Bordeaux", "text": "Wine has made Bordeaux known around the world."},
]
TEXTS = [f"{document['title']} {document['text']}" for document in DOCUMENTS]
QUERIES = ["Paris", "Montreal", "Bordeaux"]
RIGHT = ["doc1", "doc2", "doc3"]

NEURAL: dict[str, type[Splade] | type[SparseEmbed] | type[ColBERT]] = {
    "splade": Splade,
    "sparse-embed": SparseEmbed,
    "colbert": ColBERT,
}


def load(name: str) -> Any:  # noqa: ANN401 (of three types)
    return NEURAL[name].load(FIXTURES / name)


@pytest.mark.parametrize(
    "retriever",
    [BM25(k1=1.5, b=0.75, analyzer=Analyzer("char_wb", language="none", ngrams=(3, 5))), TfIdf()],
    ids=["BM25 of character n-grams", "TfIdf"],
)
def test_a_lexical_retriever_finds_the_document(retriever: BM25 | TfIdf) -> None:
    search = Search(retriever, key="id", on=["title", "text"])
    search.add(DOCUMENTS)
    results = search.search(QUERIES, k=100)
    assert [row[0] for row in results.ids] == RIGHT


@pytest.mark.parametrize("ranker", ["colbert", "sparse-embed"])
def test_a_ranker_orders_the_candidates_of_a_retriever(ranker: str) -> None:
    search = Search(BM25(), reranker=load(ranker), key="id", on=["title", "text"])
    search.add(DOCUMENTS)
    queries = ["the river of Paris", "wine of Bordeaux", "the river of Paris"]
    candidates = Search(BM25(), on=["title", "text"])
    candidates.add(DOCUMENTS)
    found, results = candidates.search(queries, k=1000), search.search(queries, k=100)
    assert [set(row) for row in results.ids] == [set(row) for row in found.ids]
    assert results.ids[0] == results.ids[2]
    assert all(row == sorted(row, reverse=True) for row in results.scores)


@pytest.mark.parametrize("name", NEURAL)
def test_a_neural_retriever_searches_alone(name: str) -> None:
    search = Search(load(name), key="id", on=["title", "text"])
    search.add(DOCUMENTS)
    results = search.search(QUERIES, k=100).to_lists()
    assert all({hit["id"] for hit in row} <= set(RIGHT) for row in results)
    assert any(results)


@pytest.mark.parametrize("name", NEURAL)
def test_duplicate_queries_each_keep_their_answer(name: str) -> None:
    search = Search(load(name), reranker=load("colbert"), on=["title", "text"])
    search.add(DOCUMENTS)
    results = search.search(["Paris", "Montreal", "Paris", "Paris"])
    assert len(results.ids) == 4
    assert results.ids[0] == results.ids[2] == results.ids[3]


def test_only_candidates_are_encoded_where_nothing_was_stored() -> None:
    bm25, colbert = BM25(), load("colbert")
    bm25.add(bm25.encode_documents(TEXTS))
    ids, _ = bm25.search(bm25.encode_queries(["Montreal"]), k=2).row(0)
    scores = colbert.scores(["Montreal"] * len(ids), [TEXTS[id] for id in ids])
    assert scores.shape == ids.shape == (1,)


KEPT: dict[str, type[SparseVectors] | type[TermEmbeddings] | type[TokenVectors]] = {
    "splade": SparseVectors,
    "sparse-embed": TermEmbeddings,
    "colbert": TokenVectors,
}


@pytest.mark.parametrize("name", NEURAL)
def test_embeddings_are_kept_and_given_again(name: str, tmp_path: Path) -> None:
    first, second = load(name), load(name)
    vectors = first.encode_documents(TEXTS)
    vectors.save(tmp_path)
    first.add(vectors)
    second.add(KEPT[name].load(tmp_path))
    queries = first.encode_queries(QUERIES)
    for found, wanted in zip(second.search(queries, 3), first.search(queries, 3), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", NEURAL)
def test_pairs_are_scored_without_an_index(name: str) -> None:
    model = load(name)
    scores = model.scores(QUERIES, TEXTS)
    assert scores.shape == (3,)
    assert len(model) == 0
    np.testing.assert_allclose(scores[1], model.scores(["Montreal"], TEXTS[1:2])[0], rtol=1e-5)


@pytest.mark.parametrize("name", ["splade", "sparse-embed"])
def test_activations_are_decoded(name: str) -> None:
    model = load(name)
    for row in model.decode(model.encode_documents(TEXTS)):
        assert 0 < len(row) <= model.encoder.checkpoint.document_terms
        assert list(row.values()) == sorted(row.values(), reverse=True)


def test_documents_added_later_are_found_with_the_others(tmp_path: Path) -> None:
    search = Search(BM25(), reranker=load("colbert"), key="id", on=["title", "text"])
    search.add(DOCUMENTS[:2])
    search.save(tmp_path / "index")
    loaded = Search.load(tmp_path / "index")
    loaded.add(DOCUMENTS[2:])
    assert [row[0] for row in loaded.search(QUERIES).ids] == RIGHT
