"""What doctests and tests share."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Give examples in docstrings a model of each kind to load."""
    fixtures = Path(__file__).parent / "tests" / "fixtures"
    doctest_namespace["model_folder"] = fixtures / "colbert"
    doctest_namespace["splade_folder"] = fixtures / "splade"
    doctest_namespace["sparse_embed_folder"] = fixtures / "sparse-embed"
