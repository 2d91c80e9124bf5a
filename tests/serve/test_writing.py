"""Writing over HTTP: what is acknowledged is on disk, whatever becomes of the server."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.conftest import DOCUMENTS, FIXTURES, Served, serving

from glane import BM25, LockedError, Search, Splade
from glane_serve.settings import Limits, ServeSettings

KILLS = int(os.environ.get("GLANE_SERVE_KILLS", "4"))
"""How often a server is killed while it writes."""

RUNNING = re.compile(r"running on (http://[\d.:]+)")


@contextmanager
def process(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run `glane serve` as it is called; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    argv = [sys.executable, "-m", "glane", "serve", *arguments, "--port", port, "--threads", "1"]
    server = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    reading = threading.Thread(target=server.stderr.read)
    try:
        for line in server.stderr:
            if found := RUNNING.search(line):
                break
        else:
            raise AssertionError("the server did not start")
        reading.start()
        yield found[1], server
    finally:
        if server.poll() is None:
            server.terminate()
        server.wait(60)
        if reading.ident is not None:  # it was started
            reading.join()
        server.stderr.close()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        time.sleep(0.1)
        return False


def store(client: httpx.Client, *documents: dict[str, Any]) -> httpx.Response:
    return client.post("/documents", json={"documents": list(documents)})


def test_a_document_is_stored_replaced_found_and_deleted(served: Served, index: str) -> None:
    new = {"id": "comet", "title": "A comet", "text": "a comet over the river", "year": 2024}
    assert store(served.client, new).json() == {"n_stored": 1}
    assert store(served.client, new).json() == {"n_stored": 0}
    assert served.client.get("/documents/comet").json() == new
    assert "comet" in Search.load(index, threads=1)
    asked = {"query": "comet", "k": 1, "filter": "year = 2024"}
    assert served.client.post("/search", json=asked).json()["hits"][0]["id"] == "comet"
    assert store(served.client, {**new, "text": "tea"}).json() == {"n_stored": 1}
    assert served.client.get("/documents/comet").json()["text"] == "tea"
    assert served.client.delete("/documents/comet").json() == {"deleted": True}
    assert served.client.delete("/documents/comet").status_code == 404
    assert len(Search.load(index, threads=1)) == len(DOCUMENTS)


@pytest.mark.parametrize(
    "documents",
    [
        [{"title": "no id"}],
        [{"id": 1.5, "text": "a"}],
        [{"id": None, "text": "a"}],
        [{"id": "a", "text": 5}],
        [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}],
        [{"id": "a", "text": "x", "year": "soon"}],
        ["no object"],
    ],
)
def test_wrong_documents_are_refused_whole(served: Served, documents: list[Any]) -> None:
    good = {"id": "good", "title": "a", "text": "b"}
    for sent in (documents, [good, *documents]):
        answer = served.client.post("/documents", json={"documents": sent})
        assert answer.status_code == 422, answer.text
    assert served.client.get("/documents/good").status_code == 404
    assert store(served.client, good).status_code == 200


def test_no_documents_are_stored_at_once(served: Served) -> None:
    assert store(served.client).json() == {"n_stored": 0}


def test_one_wrong_request_leaves_those_beside_it_alone(served: Served) -> None:
    def ask(n: int) -> int:
        with httpx.Client(base_url=served.url, timeout=60) as client:
            document = {"id": f"n{n}", "title": "t", "text": "x" if n % 3 else 5}
            return store(client, document).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(ask, range(24)))
    assert statuses == [200 if n % 3 else 422 for n in range(24)]
    for n in range(24):
        assert served.client.get(f"/documents/n{n}").status_code == (200 if n % 3 else 404)


def test_a_read_only_server_writes_nothing(index: str) -> None:
    with serving(ServeSettings(index=index, read_only=True)) as served:
        assert store(served.client, DOCUMENTS[0]).status_code == 403
        assert served.client.delete("/documents/leaf").status_code == 403
        assert served.client.get("/documents/leaf").status_code == 200
        with Search.edit(index, threads=1):  # nobody holds the lock
            pass


def test_what_others_commit_is_seen(served: Served, index: str) -> None:
    with Search.edit(index, threads=1, wait=10) as search:
        search.add([{"id": "elsewhere", "title": "", "text": "comet"}])
    until = time.monotonic() + 20
    while served.client.get("/documents/elsewhere").status_code != 200:
        assert time.monotonic() < until
    assert store(served.client, {"id": "here", "title": "", "text": "comet"}).status_code == 200
    assert {"elsewhere", "here"} <= set(
        Search.load(index, threads=1).search(["comet"], k=20).ids[0]
    )


def test_a_writer_elsewhere_is_waited_for_and_then_told_of(index: str) -> None:
    settings = ServeSettings(index=index, limits=Limits(seconds=1))
    with serving(settings) as served, Search.edit(index, threads=1):
        answer = store(served.client, {"id": "late", "title": "", "text": "x"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_a_failed_commit_is_told_and_the_service_goes_on(
    served: Served, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Search, "save", full)
        answer = store(served.client, {"id": "lost", "title": "", "text": "x"})
        assert (answer.status_code, "No space left" in answer.text) == (503, True)
    assert served.client.get("/documents/lost").status_code == 404
    assert store(served.client, {"id": "kept", "title": "", "text": "x"}).status_code == 200
    assert "lost" not in Search.load(index, threads=1)


def test_an_unforeseen_error_answers_and_the_next_change_is_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("unforeseen")

    with monkeypatch.context() as patched:
        patched.setattr(Search, "save", broken)
        answer = store(served.client, {"id": "lost", "title": "", "text": "x"})
        assert (answer.status_code, answer.json()["error_type"]) == (500, "Error")
    with httpx.Client(base_url=served.url, timeout=60) as client:  # that connection was closed
        assert store(client, {"id": "kept", "title": "", "text": "x"}).status_code == 200
        assert client.get("/documents/lost").status_code == 404


def test_what_nobody_waits_for_spoils_nothing_of_the_others(index: str) -> None:
    settings = ServeSettings(index=index, limits=Limits(seconds=1.5))
    with serving(settings) as served:

        def late(text: object) -> int:
            with httpx.Client(base_url=served.url, timeout=60) as client:
                return store(client, {"id": "late", "title": "", "text": text}).status_code

        with ThreadPoolExecutor(3) as pool:
            with Search.edit(index, threads=1):  # so that all of them wait
                asked = [pool.submit(late, text) for text in ("x", 5, "y")]
                assert [each.result() for each in asked] == [503, 503, 503]
            assert store(served.client, {"id": "b", "title": "", "text": "c"}).status_code == 200
        assert served.client.get("/documents/b").status_code == 200


def test_a_change_that_changes_nothing_commits_nothing(served: Served) -> None:
    search = served.service.search
    assert search is not None
    assert search.origin is not None
    before = search.origin.manifest.generation
    assert served.client.delete("/documents/nobody").status_code == 404
    assert store(served.client).json() == {"n_stored": 0}
    assert store(served.client, DOCUMENTS[0]).json() == {"n_stored": 0}
    assert search.origin.manifest.generation == before


def test_another_model_is_taken_also_where_the_writer_saw_it_first(
    served: Served, index: str
) -> None:
    assert "colbert" in served.client.get("/info").json()["models"]
    splade = Search(Splade.load(FIXTURES / "splade", threads=1), on=["title", "text"])
    splade.save(index)
    assert store(served.client, {"id": "a", "title": "", "text": "b"}).status_code == 200
    until = time.monotonic() + 20
    while set(served.client.get("/info").json()["models"]) != {"splade"}:
        assert time.monotonic() < until
    assert served.client.post("/embed_sparse", json={"inputs": "a"}).status_code == 200
    Search(BM25(), on=["title", "text"]).save(index)
    while served.client.post("/rerank", json={"query": "a", "texts": ["b"]}).status_code != 424:
        assert time.monotonic() < until


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_cannot_be_served_is_told_once(workers: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "glane", "serve", str(tmp_path), "--port", "9", "--workers"]
    ran = subprocess.run([*argv, workers], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode != 0
    assert len(ran.stderr.strip().splitlines()) == 1, ran.stderr


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    argv = [sys.executable, "-m", "glane", "serve", "nowhere", "--port", port]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, f"--port {port}" in ran.stderr) == (2, True), ran.stderr


def test_what_was_taken_is_finished_when_the_server_stops(index: str) -> None:
    with process(index) as (url, server):
        statuses: list[int] = []

        def write(n: int) -> None:
            with httpx.Client(base_url=url, timeout=60) as client:
                for i in range(1000):
                    try:
                        answer = store(client, {"id": f"w{n}-{i}", "title": "", "text": "tea"})
                    except httpx.TransportError:  # not taken any more
                        return
                    statuses.append(answer.status_code)

        writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for writer in writers:
            writer.start()
        time.sleep(1)
        server.send_signal(signal.SIGTERM)
        for writer in writers:
            writer.join()
        assert server.wait(60) == -signal.SIGTERM
    assert set(statuses) == {200}
    assert len(Search.load(index, threads=1)) >= len(DOCUMENTS) + len(statuses)


def test_two_workers_write_and_search_one_index(index: str) -> None:
    with process(index, "--workers", "2") as (url, server):
        until = time.monotonic() + 60
        while not is_ready(url):
            assert server.poll() is None
            assert time.monotonic() < until

        def ask(n: int) -> int:
            with httpx.Client(base_url=url, timeout=60) as client:
                return store(client, {"id": f"n{n}", "title": "t", "text": "x"}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(40))) == {200}
        assert len(Search.load(index, threads=1)) == len(DOCUMENTS) + 40


class Client(threading.Thread):
    """Stores and deletes documents of its own until the server is gone.

    Attributes:
        wanted: Text of each id that was acknowledged last, None where it was deleted.
        unsure: The id of the last request, which was not answered.
    """

    def __init__(self, url: str, number: int) -> None:
        super().__init__()
        self.url, self.number = url, number
        self.wanted: dict[str, str | None] = {}
        self.unsure = ""

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            for turn in range(100_000):
                self.unsure = f"w{self.number}-{turn % 40}"
                text = None if turn % 7 == 6 else f"tea {turn}"
                try:
                    answer = self.ask(client, self.unsure, text)
                except httpx.TransportError:
                    return
                assert answer.status_code == 200 or text is None
                self.wanted[self.unsure] = text

    def ask(self, client: httpx.Client, id: str, text: str | None) -> httpx.Response:
        if text is None:
            return client.delete(f"/documents/{id}")
        return store(client, {"id": id, "text": text})


@pytest.mark.parametrize("number", range(KILLS))
def test_what_is_acknowledged_survives_a_kill(tmp_path: Path, number: int) -> None:
    search = Search(BM25(), keep_documents=True)
    search.add([{"id": "first", "text": "tea"}])
    search.save(tmp_path / "index")
    with process(str(tmp_path / "index")) as (url, server):
        clients = [Client(url, n) for n in range(4)]
        for client in clients:
            client.start()
        while not any(client.wanted for client in clients):
            assert server.poll() is None
        time.sleep(random.Random(number).uniform(0, 1))
        server.kill()
        for client in clients:
            client.join()
    after = Search.load(tmp_path / "index", threads=1, verify=True)
    for client in clients:
        client.wanted.pop(client.unsure, None)
        for id, text in client.wanted.items():
            there = after.documents([id]) if id in after else [None]
            assert there == [None if text is None else {"id": id, "text": text}]
    with Search.edit(tmp_path / "index", threads=1, wait=5) as again:  # the lock is gone with it
        again.add([{"id": "later", "text": "tea"}])


def test_a_second_writer_is_refused_only_while_the_first_writes(index: str) -> None:
    with serving(ServeSettings(index=index)) as served:
        store(served.client, {"id": "a", "title": "", "text": "b"})
        try:
            with Search.edit(index, threads=1, wait=10) as search:
                search.delete(["a"])
        except LockedError:
            pytest.fail("the server holds the lock while it does not write")
