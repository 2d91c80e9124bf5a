"""Shards served by Ray: the routes and the answers of one index, whoever dies meanwhile."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.scale.processes import titled

from glane import BM25, ColBERT, Search
from glane.commands.main import main

pytest.importorskip("ray.serve", reason="pip install 'glane[ray,serve]'")

FIXTURES = Path(__file__).parents[1] / "fixtures"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]
DRAW = random.Random(4)
DOCUMENTS = [
    {"id": f"d{n}", "text": " ".join(DRAW.choices(WORDS, k=DRAW.choice([1, 3, 9, 60])))}
    for n in range(30)
]
QUERIES = ["tea and bread", "stars over snow", "sea birds", ""]


class Served(NamedTuple):
    client: httpx.Client
    process: subprocess.Popen[str]
    single: Search

    def hits(self, query: str) -> list[tuple[str | int, float]]:
        answer = self.client.post("/search", json={"query": query, "k": 7})
        assert answer.status_code == 200, answer.text
        return [(hit["id"], hit["score"]) for hit in answer.json()["hits"]]

    def expected(self, query: str) -> list[tuple[str | int, float]]:
        found = self.single.search([query], 7)
        return list(zip(found.ids[0], found.scores[0], strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    reranker = ColBERT.load(FIXTURES / "colbert-int8", threads=1)
    single = Search(BM25(), reranker=reranker, keep_documents=True)
    single.add(DOCUMENTS)
    single.save(folder / "index")
    assert main(["shard", str(folder / "index"), str(folder / "shards"), "--shards", "2"]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "glane", "serve", str(folder / "shards"), "--ray", "local"]
    with subprocess.Popen([*argv, "--port", str(port)], stderr=subprocess.PIPE, text=True) as run:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client, run)
            yield Served(client, run, single)
        run.send_signal(signal.SIGTERM)
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
        assert "Traceback" not in errors


def wait_until_ready(client: httpx.Client, run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert run.poll() is None, run.communicate()[1]
        try:
            if client.get("/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError("it was not ready within two minutes")


def test_it_answers_as_one_index(served: Served) -> None:
    assert [served.hits(query) for query in QUERIES] == list(map(served.expected, QUERIES))


def test_a_shard_that_dies_is_replaced(served: Served) -> None:
    before = set(titled("ray::ServeReplica:glane:shard-1"))
    assert before
    for process in before:
        os.kill(process, signal.SIGKILL)
    assert [served.hits(query) for query in QUERIES] == list(map(served.expected, QUERIES))
    assert set(titled("ray::ServeReplica:glane:shard-1")).isdisjoint(before)


def test_documents_come_and_go(served: Served) -> None:
    new: dict[str, Any] = {"id": "new/1", "text": "tea tea snow"}
    changed = {"id": "d3", "text": "birds over snow"}
    stored = served.client.post("/documents", json={"documents": [new, changed, DOCUMENTS[5]]})
    assert stored.json() == {"n_stored": 2}
    served.single.add([new, changed, DOCUMENTS[5]])
    assert [served.hits(query) for query in QUERIES] == list(map(served.expected, QUERIES))
    assert served.client.get("/documents/new/1").json() == new
    assert served.client.delete("/documents/new/1").json() == {"deleted": True}
    assert served.client.get("/documents/new/1").status_code == 404
    served.single.delete(["new/1"])
    assert [served.hits(query) for query in QUERIES] == list(map(served.expected, QUERIES))


def test_the_other_routes_are_there(served: Served) -> None:
    explained = served.client.get("/explain", params={"query": "tea bread", "id": "d1"}).json()
    single = served.single.explain("tea bread", "d1").to_dict()
    assert explained == json.loads(json.dumps(single))
    texts = ["tea and bread", "stars"]
    reranked = served.client.post("/v2/rerank", json={"query": "tea", "documents": texts})
    assert len(reranked.json()["results"]) == 2
    refused = served.client.post("/search", json={"query": "tea", "filter": "year = 1"})
    assert refused.status_code == 422
    assert "no field to filter by" in refused.json()["error"]


def test_an_address_that_serve_does_not_listen_on_is_refused() -> None:
    from ray import serve

    from glane_scale.cluster import connected
    from glane_scale.serving import _listen

    with connected("local", 1):
        _listen("127.0.0.1", 18_431)
        _listen("127.0.0.1", 18_431)
        with pytest.raises(OSError, match=r"listens on 127\.0\.0\.1:18431 already, not on"):
            _listen("127.0.0.1", 18_432)
        serve.shutdown()  # type: ignore[no-untyped-call]


def test_what_is_no_folder_of_shards_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path), "--ray", "local"]) == 1
    assert "glane shard" in capsys.readouterr().err
    assert main(["serve", "--model", "m", "--ray", "local"]) == 2
    assert "leave --model and --workers out" in capsys.readouterr().err
