"""Indexes to put behind the classes of other frameworks; without these this folder is skipped."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search

os.environ |= {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "HF_HUB_OFFLINE": "1",
}
"""What keeps the frameworks from asking other hosts; read where they are imported."""

MODULES = ("langchain_core", "llama_index", "haystack", "mcp")
MISSING = [name for name in MODULES if find_spec(name) is None]
if MISSING and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {MISSING} are not installed")
collect_ignore_glob = ["test_*.py"] if MISSING else []

FIXTURES = Path(__file__).parents[1] / "fixtures"

FIELDS = {"lang": "keyword", "year": "int", "price": "float", "tags": "keyword[]", "day": "date"}
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "tea", "title": "Tea", "text": "green tea and black tea", "lang": "en", "year": 2020,
     "tags": ["drink", "leaf"], "price": 2.5, "day": "2024-05-01", "nested": {"deep": [1, None]}},
    {"_id": 7, "title": "", "text": "a river in spring, and tea", "lang": "de", "year": 2021},
    {"_id": "é \U0001f375", "title": "Größe", "text": "東京 tea", "year": 2022, "tags": []},
    {"_id": "twin", "title": "Tea", "text": "green tea and black tea", "lang": "en"},
    {"_id": "long", "title": "Long", "text": "stone " * 90 + "tea", "year": 2020, "tags": ["leaf"]},
    {"_id": "empty", "title": "", "text": "", "lang": "fr"},
]  # fmt: skip


def pytest_report_header() -> str | None:
    return f"tests/integrations is skipped: {MISSING} are not installed" if MISSING else None


@pytest.fixture
def make_index(tmp_path: Path) -> Callable[..., Path]:
    """Write an index of the documents, or of others; by default it keeps them, and reranks."""

    def make(
        documents: list[dict[str, Any]] = DOCUMENTS, *, reranks: bool = True, keeps: bool = True
    ) -> Path:
        reranker = ColBERT.load(FIXTURES / "colbert", threads=1) if reranks else None
        search = Search(
            BM25(),
            reranker=reranker,
            key="_id",
            on=["title", "text"],
            keep_documents=keeps,
            fields=FIELDS,
        )
        search.add(documents)
        search.save(tmp_path / "index")
        return tmp_path / "index"

    return make


@pytest.fixture(params=[True, False], ids=["reranked", "bm25"])
def search(request: pytest.FixtureRequest, make_index: Callable[..., Path]) -> Search:
    """A search of an index on disk, with and without a reranker."""
    return Search.load(make_index(reranks=request.param), threads=1)
