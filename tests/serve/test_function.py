"""The function of a gateway, in a process that has the base install's modules alone."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glane import Search

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
        env={"GLANE_INDEX": index, "PATH": ""},
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


WRONG: list[tuple[dict[str, Any], int, str]] = [
    (first("{"), 422, "Expecting"),
    (first("[]"), 422, "must be a JSON object, got list"),
    (first("[" * 100_000), 422, "nested too deeply"),
    (first(None), 422, "must be a JSON object"),
    (first({}), 422, "query must be a string"),
    (first({"query": "a", "size": 1}), 422, "unknown names ['size']"),
    (first({"query": "a", "k": 0}), 422, "k must be an integer, at least 1"),
    (first({"query": "a", "k": True}), 422, "k must be an integer"),
    (first({"query": "a", "k": 1001}), 422, "may be 1000 at most"),
    (first({"query": "a", "explain": 1}), 422, "explain must be true or false"),
    (first({"query": "a", "filter": "no = 1"}), 422, "no"),
    (first({"query": "a", "fuse": "mean"}), 422, "fuse"),
    (first("é", isBase64Encoded=True), 422, ""),
    ({"httpMethod": "GET", "path": "/search"}, 404, "expected POST /search"),
    ({"httpMethod": "GET", "path": "/health"}, 200, ""),
    ({}, 404, "expected POST /search"),
]


def test_wrong_events_are_refused(index: str) -> None:
    told = answers(index, [event for event, _, _ in WRONG])
    for (got, content), (event, status, message) in zip(told, WRONG, strict=True):
        assert (got, message in content.get("error", "")) == (status, True), (event, content)


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="IndexDamaged"):
        answers(str(tmp_path), [])
