"""What a server refuses, in which order, and that it goes on afterwards."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from tests.serve.conftest import Served, serving

from glane_serve.logs import JsonLines
from glane_serve.settings import Limits, ServeSettings

LIMITS = Limits(
    body=4096,
    query=50,
    queries=3,
    texts=3,
    k=20,
    explained=2,
    filter=100,
    seconds=5,
    sending=0.5,
    connections=40,
)


@pytest.fixture
def tight(index: str) -> Iterator[Served]:
    with serving(ServeSettings(index=index, limits=LIMITS)) as running:
        yield running


def goes_on(served: Served) -> bool:
    return served.client.post("/search", json={"query": "tea"}).status_code == 200


def raw(served: Served, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        got = b""
        while part := connection.recv(65536):
            got += part
    return got


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/search", {"query": "x" * 51}, 413, "the query has 51 characters; at most 50"),
        ("/search", {"queries": ["x"] * 4}, 413, "got 4 queries; at most 3"),
        ("/search", {"query": "x", "k": 21}, 422, "21 hits of all queries; at most 20"),
        ("/search", {"queries": ["x"] * 3, "k": 7}, 422, "21 hits of all queries; at most 20"),
        ("/search", {"query": "x", "k": 3, "explain": True}, 422, "at most 2 may be explained"),
        ("/search", {"query": "x", "filter": "a" * 101}, 413, "the filter has 101 characters"),
        ("/search", {"query": "x", "filter": {"a": "b" * 101}}, 413, "the filter has 110"),
        ("/search", {"query": "x", "offset": 5000, "filter": "a" * 5000}, 413, "the body has"),
        ("/documents", {"documents": [{"id": "a"}] * 4}, 413, "got 4 documents; at most 3"),
    ],
)
def test_more_than_a_limit_is_refused(
    tight: Served, path: str, body: object, status: int, message: str
) -> None:
    answer = tight.client.post(path, json=body)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert goes_on(tight)


def test_a_body_without_a_length_is_counted_as_it_comes(tight: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    header = {"content-type": "application/json"}
    answer = tight.client.post("/search", content=endless(), headers=header)
    assert (answer.status_code, answer.json()["error_type"]) == (413, "Validation")
    assert goes_on(tight)


def test_a_client_that_sends_slowly_is_let_go(tight: Served) -> None:
    head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = raw(tight, head + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert raw(tight, head) == b""
    assert raw(tight, b"") == b""
    assert goes_on(tight)


def test_a_connection_may_be_used_again_and_a_late_second_request_closes_it(tight: Served) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(tight, request + request + b"GET /hea")
    assert answer.count(b'{"status":"ok"}') == 2


@pytest.mark.parametrize(
    "sent",
    [b"\x00\x01\x02\r\n\r\n", b"NO HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
)
def test_what_is_no_http_is_refused(tight: Served, sent: bytes) -> None:
    assert raw(tight, sent).startswith(b"HTTP/1.1 400")
    assert goes_on(tight)


def test_a_head_without_end_is_cut(tight: Served) -> None:
    with suppress(ConnectionResetError):
        raw(tight, b"GET /" + b"a" * 2_000_000)
    assert goes_on(tight)


def test_connections_beyond_the_limit_are_closed(tight: Served) -> None:
    assert goes_on(tight)  # this client is one of the connections
    host, port = tight.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        time.sleep(0.1)
        assert goes_on(tight)
    with httpx.Client(base_url=tight.url) as another:
        wait = time.monotonic() + 10
        while len(tight.server.server_state.connections) > 30 and time.monotonic() < wait:
            time.sleep(0.05)
        assert another.get("/health").status_code == 200


def test_requests_beyond_the_limit_are_told_to_come_again(index: str) -> None:
    with serving(ServeSettings(index=index, threads=1, limits=Limits(concurrent=1))) as served:
        hold = threading.Event()
        taken = served.service._computing.submit(hold.wait)  # the one thread that computes
        answers: list[httpx.Response] = []
        body = {"query": "tea"}

        def ask() -> None:
            with httpx.Client(base_url=served.url) as client:
                answers.append(client.post("/search", json=body))

        waiting = threading.Thread(target=ask)
        waiting.start()
        while "glane_requests_at_work 1.0" not in served.client.get("/metrics").text:
            assert waiting.is_alive()
        refused = served.client.post("/search", json=body)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error_type"] == "Overloaded"
        assert served.client.get("/health").status_code == 200
        assert served.client.get("/metrics").status_code == 200
        hold.set()
        waiting.join()
        taken.result()
        assert answers[0].status_code == 200


def test_those_who_send_slowly_take_no_place_of_others(index: str) -> None:
    limits = Limits(concurrent=2, sending=2)
    with serving(ServeSettings(index=index, limits=limits)) as served, ExitStack() as stack:
        host, port = served.url.removeprefix("http://").split(":")
        head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for _ in range(5):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            slow.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert goes_on(served)


def test_an_answer_that_takes_too_long_is_a_refusal(index: str) -> None:
    limits = Limits(seconds=0.2)
    with serving(ServeSettings(index=index, threads=1, limits=limits)) as served:
        hold = threading.Event()
        served.service._computing.submit(hold.wait)
        answer = served.client.post("/search", json={"query": "tea"})
        hold.set()
        assert (answer.status_code, "longer than 0.2 s" in answer.text) == (503, True)
        assert goes_on(served)


def test_a_token_is_asked_for(index: str) -> None:
    with serving(ServeSettings(index=index, token="geheim")) as served:
        for header in ({}, {"authorization": "Bearer geheim2"}, {"authorization": "geheim"}):
            answer = served.client.get("/info", headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["error_type"] == "Unauthorized"
        known = {"authorization": "Bearer geheim"}
        assert served.client.get("/info", headers=known).status_code == 200
        elsewhere = {**known, "host": "search.example.org"}
        assert served.client.get("/info", headers=elsewhere).status_code == 200
        for path in ("/health", "/ready", "/"):
            assert served.client.get(path).status_code == 200
        for path in ("/metrics", "/openapi.json", "/documents/leaf"):
            assert served.client.get(path).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
def test_without_a_token_only_this_machines_names_are_answered(served: Served, host: str) -> None:
    answer = served.client.get("/info", headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"].count("localhost,") == 1
    for own in ("localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:9"):
        assert served.client.get("/info", headers={"host": own}).status_code == 200


def test_other_sites_may_ask_only_where_they_are_named(index: str, served: Served) -> None:
    asked = {
        "origin": "https://example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,authorization",
    }
    assert (
        "access-control-allow-origin" not in served.client.options("/search", headers=asked).headers
    )
    named = ServeSettings(index=index, origins=("https://example.org",), token="t")
    with serving(named) as open_to:
        allowed = open_to.client.options("/search", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = open_to.client.options("/search", headers={**asked, "origin": "https://other.org"})
        assert "access-control-allow-origin" not in other.headers
        refused = open_to.client.get("/info", headers={"origin": "https://example.org"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://example.org"


def test_a_simple_request_of_another_page_cannot_write(served: Served) -> None:
    body = json.dumps({"documents": [{"id": "planted", "text": "x"}]})
    for header in ({"content-type": "text/plain"}, {}):
        answer = served.client.post("/documents", content=body, headers=header)
        assert answer.status_code == 415
    assert served.client.get("/documents/planted").status_code == 404


@pytest.mark.parametrize("path", ["/nope", "/search/", "/Search", "/openapi.yaml", "/docs"])
def test_unknown_paths_are_told_in_the_same_shape(served: Served, path: str) -> None:
    answer = served.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error_type"] == "NotFound"
    assert "; there is /health, " in answer.json()["error"]
    assert "glane serve" not in answer.json()["error"]
    assert served.client.put("/search").status_code == 405


def test_a_request_has_an_id_and_a_line_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "glane.serve"):
        mine = served.client.get("/health", headers={"x-request-id": "mine-1"})
        odd = served.client.get("/health", headers={"x-request-id": 'a"b\n'.strip()})
    assert mine.headers["x-request-id"] == "mine-1"
    assert odd.headers["x-request-id"] != 'a"b'
    lines = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == "glane.serve"]
    (line,) = [line for line in lines if line.get("request_id") == "mine-1"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/health", 200)


def test_counts_are_told_by_route_and_by_stage(served: Served) -> None:
    assert goes_on(served)
    served.client.get("/documents/leaf")
    served.client.get("/documents/nobody")
    text = served.client.get("/metrics").text
    assert 'glane_request_duration_seconds_count{route="/search",status="200"} 1.0' in text
    assert 'route="/documents/{id:path}",status="404"} 1.0' in text
    assert 'glane_stage_duration_seconds_count{stage="rerank"} 1.0' in text
    assert "glane_documents 5.0" in text
    assert "nobody" not in text
