"""The function of a gateway, in a process that has the base install's modules alone."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.serve.conftest import Served

from glane import Search
from glane_serve.answer import Asked
from glane_serve.bodies import SearchBody

JSON = {"Content-Type": "application/json"}

PROGRAM = """
import json, sys
from glane_serve.function import handler
heavy = {"fastapi", "pydantic", "uvicorn", "starlette", "torch", "prometheus_client"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print(json.dumps([handler(event, None) for event in json.load(sys.stdin)]))
"""


def answers(index: str, events: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Return status and content of the answer to each event."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(events),
        env={"GLANE_INDEX": index, "PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert all(each["headers"]["content-type"] == "application/json" for each in told)
    return [(each["statusCode"], json.loads(each["body"])) for each in told]


def first(body: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (of an event)
    """Return an event of the gateway's first version."""
    text = body if isinstance(body, str) else json.dumps(body)
    return {"httpMethod": "POST", "path": "/stage/search", "body": text, **more}


def second(body: object) -> dict[str, Any]:
    """Return one of its second version, and of function URLs."""
    http = {"method": "POST", "path": "/search"}
    content = base64.b64encode(json.dumps(body).encode()).decode()
    event = {"version": "2.0", "rawPath": "/search", "requestContext": {"http": http}}
    return {**event, "body": content, "isBase64Encoded": True}


def test_both_versions_get_what_the_library_gives(index: str) -> None:
    query = "green tea Größe"
    body = {"query": query, "k": 2, "filter": "year >= 2000", "fuse": "rrf"}
    (one, found), (other, again) = answers(index, [first(body), second(body)])
    assert (one, other) == (200, 200)
    assert found == again
    search = Search.load(index, threads=1)
    wanted = search.search([query], k=2, filter="year >= 2000", fuse="rrf")
    assert [hit["id"] for hit in found["hits"]] == wanted.ids[0]
    assert [hit["document"] for hit in found["hits"]] == search.documents(wanted.ids[0])


def test_pages_and_explanations(index: str) -> None:
    events = [
        first({"query": "tea", "k": 4}),
        first({"query": "tea", "k": 2, "offset": 2, "explain": True, "documents": False}),
    ]
    (_, whole), (_, page) = answers(index, events)
    assert [hit["id"] for hit in page["hits"]] == [hit["id"] for hit in whole["hits"][2:]]
    assert page["hits"][0]["explanation"]["query"] == "tea"
    assert "document" not in page["hits"][0]


@pytest.mark.parametrize(
    "body",
    [
        {"query": "tea", "k": 2, "explain": True},
        {"queries": ["tea", "snow", "tea"], "k": 2, "offset": 1},
        {"queries": []},
        {"query": "tea", "filter": None, "fuse": None, "candidates": None, "documents": False},
        {},
        {"query": "a", "queries": ["b"]},
        {"query": "x" * 10_001},
        {"queries": ["x"] * 65},
        {"queries": ["x"] * 64, "k": 16},
        {"query": "x", "k": 101, "explain": True},
        {"query": "x", "filter": "a" * 10_001},
        {"query": "x", "candidates": 1001},
        {"query": "x", "filter": "colour = 1"},
        "{",
        '{"query": NaN}',
        "[" * 100_000,
    ],
    ids=lambda body: str(body)[:30],
)
def test_the_function_answers_as_the_server_does(index: str, served: Served, body: object) -> None:
    sent = body if isinstance(body, str) else json.dumps(body)
    ((status, content),) = answers(index, [first(sent)])
    answer = served.client.post("/search", content=sent, headers=JSON)
    assert (status, {**content, "request_id": ""}) == (
        answer.status_code,
        {**answer.json(), "request_id": ""},
    )


def test_what_each_stage_took_is_told_where_that_is_asked(index: str) -> None:
    (status, content), (_, without) = answers(
        index, [first({"query": "tea", "timings": True}), first({"query": "tea"})]
    )
    assert status == 200
    assert all(seconds >= 0 for seconds in content.pop("timings").values())
    assert content == without


def test_the_function_knows_the_names_and_defaults_of_the_server() -> None:
    told = {name: field.default for name, field in SearchBody.model_fields.items()}
    assert told == {field.name: field.default for field in fields(Asked)}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    (first("{"), 400, "the body is not JSON: Expecting"),
    (first("[]"), 422, "must be a JSON object, got list"),
    (first(None), 422, "must be a JSON object"),
    (first(""), 422, "the body is missing"),
    ({**first(""), "body": None}, 422, "the body is missing"),
    (first({}), 422, "query is missing"),
    (first({"query": 5}), 422, "query must be a string, got 5"),
    (first({"queries": ["a", 5]}), 422, "queries must be a list of strings, got ['a', 5]"),
    (first({"query": "a", "size": 1}), 422, "unknown names ['size']"),
    (first({"query": "a", "k": 0}), 422, "k must be an integer, at least 1"),
    (first({"query": "a", "k": True}), 422, "k must be an integer"),
    (first({"query": "a", "k": None}), 422, "k must be an integer"),
    (first({"query": "a", "prune": 0}), 422, "prune must be an integer, at least 1"),
    (first({"query": "a", "explain": 1}), 422, "explain must be true or false"),
    (first({"query": "a", "filter": "no = 1"}), 422, "no"),
    (first({"query": "a", "filter": 5}), 422, "filter"),
    (first({"query": "a", "fuse": "mean"}), 422, "fuse"),
    (first({"query": "a", "fuse_weight": "x"}), 422, "fuse_weight"),
    (first("é", isBase64Encoded=True), 422, ""),
    ({"httpMethod": "GET", "path": "/search"}, 404, "expected POST /search"),
    ({"httpMethod": "GET", "path": "/health"}, 200, ""),
    ({}, 404, "expected POST /search"),
]


def test_wrong_events_are_refused_in_the_servers_shape(index: str) -> None:
    told = answers(index, [event for event, _, _ in WRONG])
    for (got, content), (event, status, message) in zip(told, WRONG, strict=True):
        assert (got, message in content.get("error", "")) == (status, True), (event, content)
        if status != 200:
            assert set(content) == {"error", "error_type", "message", "request_id"}


def test_a_request_keeps_the_gateways_id(index: str) -> None:
    ((_, content),) = answers(index, [first({}, requestContext={"requestId": "of-the-gateway"})])
    assert content["request_id"] == "of-the-gateway"


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="IndexDamaged"):
        answers(str(tmp_path), [])
