"""A real server on a real socket, in a thread of this process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn

from glane import BM25, ColBERT, Search
from glane_serve.app import application
from glane_serve.connections import OPTIONS
from glane_serve.service import Service
from glane_serve.settings import ServeSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODEL = str(FIXTURES / "colbert")

DOCUMENTS: list[dict[str, Any]] = [
    {
        "id": "leaf",
        "title": "Leaves",
        "text": "Plants eat light. Green tea is a leaf.",
        "year": 2001,
    },
    {
        "id": "sea",
        "title": "Rivers",
        "text": "They run to the sea, and tea does not.",
        "year": 2010,
    },
    {"id": 7, "title": "Snow", "text": "Snow falls in winter.", "year": 2020},
    {
        "id": "7b",
        "title": "Größe ist 北京 <b>&amp;</b>",
        "text": "Straße, naïve, tea",
        "year": 2020,
    },
    {"id": "a/../b?c#d %2e", "title": "", "text": "an odd id, and tea", "year": 1999},
]


class Served(NamedTuple):
    """A server that runs.

    Attributes:
        url: Where.
        client: A client of it.
        service: What it serves.
        server: uvicorn's.
    """

    url: str
    client: httpx.Client
    service: Service
    server: uvicorn.Server


@contextmanager
def serving(settings: ServeSettings) -> Iterator[Served]:
    service = Service(settings)
    server = uvicorn.Server(uvicorn.Config(application(service), port=0, **OPTIONS))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            yield Served(url, client, service, server)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def index(tmp_path: Path) -> str:
    search = Search(
        BM25(),
        reranker=ColBERT.load(MODEL, threads=1),
        on=["title", "text"],
        fields={"year": "int"},
        keep_documents=True,
    )
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    return str(tmp_path / "index")


@pytest.fixture
def served(index: str) -> Iterator[Served]:
    with serving(ServeSettings(index=index, refresh=0.05)) as running:
        yield running


@pytest.fixture
def start() -> Callable[..., Any]:
    """Return what starts a server of some settings, as a context."""

    def started(**named: Any) -> Any:  # noqa: ANN401 (a context manager)
        return serving(ServeSettings(**named))

    return started
