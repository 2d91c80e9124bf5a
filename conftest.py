"""What doctests and tests share."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    """Give examples in docstrings a model to load."""
    doctest_namespace["model_folder"] = Path(__file__).parent / "tests" / "fixtures" / "colbert"
