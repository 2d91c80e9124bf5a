"""Reranking and encoding in the shapes of others, with their own clients where there is one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cohere
import httpx
import numpy as np
import pytest
from huggingface_hub import InferenceClient, constants
from tests.serve.conftest import FIXTURES, MODEL, Served, serving

from glane import ColBERT, Search, Splade, TextReranker
from glane_serve.settings import Limits, ServeSettings

TEXTS = ["Plants eat light.", "", "Rivers run to the sea.", "Plants eat light.", "北京 <b> Größe"]
QUERY = "what do plants eat"


@pytest.fixture
def model() -> Iterator[Served]:
    with serving(ServeSettings(model=MODEL)) as running:
        yield running


def ranked(query: str, texts: list[str]) -> list[tuple[int, float]]:
    return TextReranker.load(MODEL, threads=1).rerank(query, texts)


def test_teis_body_gets_teis_answer(model: Served) -> None:
    asked = {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True}
    answer = model.client.post("/rerank", json=asked).json()
    wanted = ranked(QUERY, TEXTS)
    assert [(each["index"], each["score"]) for each in answer] == wanted
    assert [each["text"] for each in answer] == [TEXTS[place] for place, _ in wanted]
    scaled = model.client.post("/rerank", json={"query": QUERY, "texts": TEXTS}).json()
    assert [each["index"] for each in scaled] == [place for place, _ in wanted]
    assert all(set(each) == {"index", "score"} and 0 <= each["score"] <= 1 for each in scaled)


def test_relevance_is_the_mean_similarity_of_the_querys_tokens(model: Served) -> None:
    stage = ColBERT.load(MODEL, threads=1)
    asked = stage.encode_queries([QUERY]).values.astype(np.float32)
    text = stage.encode_documents([TEXTS[0]]).values.astype(np.float32)
    mean = float((asked @ text.T).max(axis=1).mean())
    answer = model.client.post("/rerank", json={"query": QUERY, "texts": TEXTS[:1]}).json()
    assert answer[0]["score"] == pytest.approx(mean, abs=2e-3)  # stored in int8


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_jinas_and_coheres_bodies_get_their_answer(model: Served, path: str) -> None:
    documents = [TEXTS[0], {"text": TEXTS[2]}, TEXTS[4]]
    asked = {"model": "any", "query": QUERY, "documents": documents, "top_n": 2}
    answer = model.client.post(path, json={**asked, "return_documents": True}).json()
    wanted = ranked(QUERY, [TEXTS[0], TEXTS[2], TEXTS[4]])[:2]
    assert [each["index"] for each in answer["results"]] == [place for place, _ in wanted]
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["results"][0]["document"] == {"text": TEXTS[[0, 2, 4][wanted[0][0]]]}
    assert answer["id"]
    assert "document" not in model.client.post(path, json=asked).json()["results"][0]


def test_coheres_client_reranks(model: Served) -> None:
    wanted = [place for place, _ in ranked(QUERY, TEXTS)]
    with httpx.Client() as http:
        client = cohere.ClientV2("any-token", base_url=model.url, httpx_client=http)
        found = client.rerank(model="any", query=QUERY, documents=TEXTS, top_n=3)
        assert [each.index for each in found.results] == wanted[:3]
        with pytest.raises(cohere.BadRequestError, match="at least one text"):
            client.rerank(model="any", query=QUERY, documents=[])
        first = cohere.Client("any-token", base_url=model.url, httpx_client=http)
        again = first.rerank(model="any", query=QUERY, documents=TEXTS, return_documents=True)
    assert again.results[0].document is not None
    assert again.results[0].document.text == TEXTS[again.results[0].index]


def test_coheres_client_gives_the_token() -> None:
    asked: dict[str, Any] = {"model": "any", "query": QUERY, "documents": TEXTS}
    with serving(ServeSettings(model=MODEL, token="geheim")) as served, httpx.Client() as http:
        known = cohere.ClientV2("geheim", base_url=served.url, httpx_client=http)
        assert known.rerank(**asked).results
        unknown = cohere.ClientV2("other", base_url=served.url, httpx_client=http)
        with pytest.raises(cohere.UnauthorizedError):
            unknown.rerank(**asked)


def test_hugging_faces_client_encodes(model: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # which refuses this machine, too
    client = InferenceClient(model=f"{model.url}/embed_all")
    vectors = client.feature_extraction(TEXTS[0])
    wanted = ColBERT.load(MODEL, threads=1).encode_documents([TEXTS[0]]).values
    assert np.allclose(vectors[0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"query": QUERY}, 422, "body.documents"),
        ({"texts": ["a"]}, 422, "body.query"),
        ({"query": QUERY, "texts": []}, 400, "texts must hold at least one text"),
        ({"query": QUERY, "documents": []}, 400, "documents must hold at least one text"),
        ({"query": QUERY, "documents": [{"title": "a"}]}, 422, "body.documents.0"),
        ({"query": QUERY, "documents": [5]}, 422, "body.documents.0"),
        ({"query": QUERY, "documents": ["a"], "top_n": 0}, 422, "body.top_n"),
        ({"query": QUERY, "texts": ["a"] * 4}, 413, "got 4 texts; at most 3"),
        ({"query": QUERY, "texts": ["a" * 101]}, 413, "a text has 101 characters; at most 100"),
        ({"query": "q" * 51, "texts": ["a"]}, 413, "the query has 51 characters; at most 50"),
    ],
)
def test_wrong_bodies_are_refused(body: dict[str, Any], status: int, message: str) -> None:
    limits = Limits(texts=3, text=100, query=50)
    with serving(ServeSettings(model=MODEL, limits=limits)) as served:
        answer = served.client.post("/rerank", json=body)
        assert (answer.status_code, message in answer.json()["error"]) == (status, True), (
            answer.text
        )


def test_an_index_reranks_texts_by_its_own_model(served: Served, index: str) -> None:
    answer = served.client.post(
        "/rerank", json={"query": QUERY, "texts": TEXTS, "raw_scores": True}
    )
    reranker = Search.load(index, threads=1).reranker
    assert reranker is not None
    wanted = TextReranker(reranker).rerank(QUERY, TEXTS)
    assert [(each["index"], each["score"]) for each in answer.json()] == wanted


def test_without_a_model_nothing_is_reranked_or_encoded(tmp_path: Path) -> None:
    from glane import BM25

    Search(BM25()).save(tmp_path / "index")
    with serving(ServeSettings(index=str(tmp_path / "index"))) as served:
        for path, body in (
            ("/rerank", {"query": QUERY, "texts": TEXTS}),
            ("/embed_all", {"inputs": "a"}),
            ("/embed_sparse", {"inputs": "a"}),
        ):
            answer = served.client.post(path, json=body)
            assert (answer.status_code, answer.json()["error_type"]) == (424, "Backend")


def test_a_model_alone_has_no_index(model: Served) -> None:
    answers = [model.client.post("/search", json={"query": "a"}), model.client.get("/")]
    for answer in [*answers, model.client.post("/embed", json={"inputs": "a"})]:
        assert answer.status_code == 404
        told = answer.json()["error"]
        assert "/embed_all" in told
        assert "`glane serve INDEX`" in told
    info = model.client.get("/info").json()
    assert info["model_id"] == MODEL
    assert "index" not in info


def test_token_vectors_are_a_matrix_a_text(model: Served) -> None:
    stage = ColBERT.load(MODEL, threads=1)
    for role, encode in (("document", stage.encode_documents), ("query", stage.encode_queries)):
        asked = {"inputs": [TEXTS[0], TEXTS[2]], "prompt_name": role}
        answer = model.client.post("/embed_all", json=asked).json()
        wanted = encode([TEXTS[0], TEXTS[2]])
        for row, matrix in enumerate(answer):
            assert np.allclose(matrix, wanted[row : row + 1].values, atol=1e-6)
    one = model.client.post("/embed_all", json={"inputs": TEXTS[0]}).json()
    assert len(one) == 1


def test_terms_are_a_list_a_text() -> None:
    folder = str(FIXTURES / "splade")
    with serving(ServeSettings(model=folder)) as served:
        answer = served.client.post("/embed_sparse", json={"inputs": TEXTS}).json()
        wanted = Splade.load(folder, threads=1).encode_documents(TEXTS)
        assert [[term["index"] for term in row] for row in answer] == [
            wanted[row : row + 1].indices.tolist() for row in range(len(TEXTS))
        ]
        flat = [term["value"] for row in answer for term in row]
        assert np.allclose(flat, wanted.values, atol=1e-6)
        refused = served.client.post("/embed_all", json={"inputs": "a"})
        assert (refused.status_code, "but splade" in refused.text) == (424, True)
        ranked = served.client.post("/rerank", json={"query": QUERY, "texts": TEXTS}).json()
        assert all(0 <= each["score"] < 1 for each in ranked)


def test_a_text_that_would_be_cut_is_refused_where_that_is_asked(model: Served) -> None:
    long = "plants eat light " * 200
    assert model.client.post("/embed_all", json={"inputs": [long]}).status_code == 200
    answer = model.client.post("/embed_all", json={"inputs": ["a", long], "truncate": False})
    assert (answer.status_code, "input 1 has more than" in answer.text) == (413, True)
    for body, status in (({"inputs": []}, 400), ({"inputs": [1]}, 422), ({}, 422)):
        assert model.client.post("/embed_all", json=body).status_code == status
    many = model.client.post("/embed_all", json={"inputs": ["a"] * 300})
    assert (many.status_code, many.json()["error_type"]) == (413, "Validation")
