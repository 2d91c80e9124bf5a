"""Search, explanations and documents over HTTP: what the library gives, and its refusals."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.serve.conftest import DOCUMENTS, Served, serving

from glane import BM25, Search
from glane.maxsim.index import MaxSimIndex
from glane_serve.app import application
from glane_serve.service import WARMING, Service, texts_of
from glane_serve.settings import ServeSettings

JSON = {"content-type": "application/json"}


def found(served: Served, **body: object) -> dict[str, Any]:
    answer = served.client.post("/search", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 2},
        {"fuse": "none"},
        {"fuse": "rrf", "fuse_weight": 0.7},
        {"filter": "year >= 2010", "candidates": 2},
        {"filter": {"year": [1999, 2020]}},
    ],
)
def test_hits_are_those_of_the_library(served: Served, index: str, options: dict[str, Any]) -> None:
    search = Search.load(index, threads=1)
    for query in ("tea", "snow in winter", "", "Größe 北京", "nothing \ud800 here"):
        wanted = search.search([query], **options)
        hits = found(served, query=query, **options)["hits"]
        assert [hit["id"] for hit in hits] == wanted.ids[0]
        assert [hit["score"] for hit in hits] == wanted.scores[0]
        assert [hit["document"] for hit in hits] == search.documents(wanted.ids[0])


def test_pages_of_hits_are_pieces_of_all(served: Served) -> None:
    whole = found(served, query="tea", k=5)["hits"]
    paged = [
        hit for offset in range(6) for hit in found(served, query="tea", k=1, offset=offset)["hits"]
    ]
    assert [hit["id"] for hit in paged] == [hit["id"] for hit in whole]


def test_queries_together_are_as_alone(served: Served) -> None:
    queries = ["tea", "snow", "tea"]
    together = found(served, queries=queries)["queries"]
    alone = [{"query": query, "hits": found(served, query=query)["hits"]} for query in queries]
    assert together == alone
    assert found(served, queries=[])["queries"] == []


def test_a_hit_has_a_passage_and_says_why(served: Served, index: str) -> None:
    answer = found(served, query="tea", explain=True, documents=False, timings=True)
    search = Search.load(index, threads=1)
    for hit in answer["hits"]:
        assert "document" not in hit
        assert set(hit["passage"]) >= {"text", "marks"}
        assert hit["explanation"] == json.loads(
            json.dumps(search.explain("tea", hit["id"]).to_dict())
        )
    assert {"encode", "retrieve", "rerank", "fuse"} <= set(answer["timings"])


def test_explain_takes_the_options_of_a_search(served: Served, index: str) -> None:
    search = Search.load(index, threads=1)
    asked: dict[str, str | int] = {
        "query": "tea",
        "id": "leaf",
        "fuse": "none",
        "filter": "year < 2005",
        "k": 3,
    }
    answer = served.client.get("/explain", params=asked)
    wanted = search.explain("tea", "leaf", fuse="none", filter="year < 2005", k=3)
    assert answer.json() == json.loads(json.dumps(wanted.to_dict()))
    again = served.client.get("/explain", params={**asked, "filter": '{"year": {"<": 2005}}'})
    assert again.json() == answer.json()
    assert served.client.get("/explain", params={"query": "x", "id": "no"}).status_code == 404


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document["id"]))
def test_a_document_is_found_by_its_id_in_a_path(served: Served, document: dict[str, Any]) -> None:
    path = f"/documents/{quote(str(document['id']), safe='')}"
    assert served.client.get(path).json() == document


@pytest.mark.parametrize(
    "path",
    [
        "/documents/..%2f..%2fetc%2fpasswd",
        "/documents/%00",
        "/documents/%ff%fe",
        "/documents/" + "x" * 3000,
        "/documents/../../etc/passwd",
        "/documents/",
        "//documents//leaf",
        "/documents/%E2%80%AE",
    ],
)
def test_tricks_in_paths_find_nothing(served: Served, path: str) -> None:
    for method in ("GET", "DELETE"):
        answer = served.client.request(method, path)
        assert answer.status_code in (400, 404, 405)
        assert answer.json()["error"]
    assert len(served.service.search or ()) == len(DOCUMENTS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "query is missing: pass query or queries"),
        ({"query": "a", "queries": ["b"]}, "pass either query or queries"),
        ({"query": 5}, "body.query"),
        ({"query": "a", "k": 0}, "body.k"),
        ({"query": "a", "k": "3"}, "body.k"),
        ({"query": "a", "k": True}, "body.k"),
        ({"query": "a", "offset": -1}, "body.offset"),
        ({"query": "a", "size": 3}, "body.size"),
        ({"query": "a", "k": 600, "offset": 600}, "1200 hits of all queries; at most 1000"),
        ({"query": "a", "filter": "(" * 4000 + "year = 1"}, "nested 100 deep at most"),
        ({"query": "a", "filter": "not " * 2000 + "year = 1"}, "nested 100 deep at most"),
        ({"query": "a", "candidates": 10**30}, "candidates may be 1000 at most"),
        ({"query": "a", "filter": "year >"}, "year"),
        ({"query": "a", "filter": "colour = 'red'"}, "colour"),
        ({"query": "a", "filter": {"year": "x"}}, "year"),
        ({"query": "a", "fuse": "mean"}, "body.fuse"),
        ({"query": "a", "fuse_weight": 2}, "body.fuse_weight"),
        ([], "body"),
        ("query", "body"),
    ],
)
def test_wrong_searches_are_refused_in_one_shape(
    served: Served, body: object, message: str
) -> None:
    answer = served.client.post("/search", json=body)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert set(told) == {"error", "error_type", "message", "request_id"}
    assert message in told["error"] == told["message"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in told["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"query": "\xff"}',
        b'{"query": NaN}',
        b'{"query": "a", "k": 1e999}',
        b'{"query": "a", "k": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=["none", "cut", "latin", "nan", "infinite", "digits", "nested", "mark"],
)
def test_what_is_no_json_is_refused(served: Served, body: bytes) -> None:
    answer = served.client.post("/search", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


def test_an_index_without_reranker_and_documents_is_served(tmp_path: Path) -> None:
    search = Search(BM25())
    search.add([{"id": 1, "text": "tea"}, {"id": "1", "text": "green tea"}])
    search.save(tmp_path / "index")
    with serving(ServeSettings(index=str(tmp_path / "index"))) as served:
        assert found(served, query="tea")["hits"] == [
            {"id": id, "score": score}
            for id, score in zip(*(part[0] for part in search.search(["tea"])), strict=True)
        ]
        refused = served.client.post("/search", json={"query": "tea", "fuse": "rrf"})
        assert (refused.status_code, "needs a reranker" in refused.text) == (422, True)
        assert "does not keep" in served.client.get("/documents/1").json()["error"]
        told = served.client.get("/explain", params={"query": "tea", "id": "1"}).json()
        assert (told["id"], told["fields"]) == ("1", {})


def test_an_empty_index_is_served(tmp_path: Path) -> None:
    Search(BM25()).save(tmp_path / "index")
    with serving(ServeSettings(index=str(tmp_path / "index"))) as served:
        assert found(served, query="tea")["hits"] == []
        stored = served.client.post("/documents", json={"documents": [{"id": "a", "text": "tea"}]})
        assert stored.json() == {"n_stored": 1}
        assert [hit["id"] for hit in found(served, query="tea")["hits"]] == ["a"]


@pytest.mark.parametrize(
    ("documents", "on"),
    [
        ([{"id": 0, "a": {"b": "plants eat light"}}], ["a.b"]),
        ([{"id": 0, "text": ""}, {"id": 1, "text": 'iron" rusts, said "plants'}], ["text"]),
        ([{"id": 0, "text": "tea " * 100_000}], ["text"]),
    ],
)
def test_what_a_server_warms_itself_by_finds_something(
    documents: list[dict[str, Any]], on: list[str]
) -> None:
    search = Search(BM25(), on=on, keep_documents=True)
    search.add(documents)
    texts = texts_of(search)
    assert texts
    assert all(len(text) <= 200 for text in texts)
    assert all(search.search(texts, phrases=False).ids)


def test_a_server_without_documents_is_warmed_too() -> None:
    for keep in (True, False):
        assert texts_of(Search(BM25(), on=["text"], keep_documents=keep)) == [WARMING]


def test_each_thread_has_reranked_before_the_first_request(
    index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[Any] = []
    scorer = MaxSimIndex.scorer

    def told(self: MaxSimIndex) -> Any:  # noqa: ANN401
        scored.append(self)
        return scorer(self)

    monkeypatch.setattr(MaxSimIndex, "scorer", told)
    service = Service(ServeSettings(index=index, threads=2))
    assert not scored
    application(service)
    assert len(scored) >= 2
