"""What doctests and tests share."""

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("glane", deadline=None)  # no test asserts a time
settings.load_profile("glane")

NEEDED = {
    "runtime/glane/integrations/haystack.py": "haystack",
    "runtime/glane/integrations/langchain.py": "langchain_core",
    "runtime/glane/integrations/llama_index.py": "llama_index",
    "runtime/glane/integrations/postgres.py": "psycopg",
    "runtime/glane/integrations/qdrant.py": "qdrant_client",
    "runtime/glane/postings/compiled.py": "numba",
    "runtime/glane_engines/postgres.py": "psycopg",
    "runtime/glane_engines/qdrant.py": "qdrant_client",
    "runtime/glane_scale/*": "ray",
    "runtime/glane_serve/*": "fastapi",
    "runtime/glane_serve/mcp_*": "mcp",
}
"""What modules of the runtime need beyond the base install, to be imported for their examples."""

_ROOT = Path(__file__).parent
collect_ignore_glob = [
    str(_ROOT / files) for files, module in NEEDED.items() if find_spec(module) is None
]

# A shell lets what it starts in the background ignore Ctrl-C, and what that starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Give examples in docstrings a model of each kind to load."""
    fixtures = Path(__file__).parent / "tests" / "fixtures"
    doctest_namespace["model_folder"] = fixtures / "colbert"
    doctest_namespace["splade_folder"] = fixtures / "splade"
    doctest_namespace["sparse_embed_folder"] = fixtures / "sparse-embed"
