"""What tests of all parts share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real collections, from `GLANE_DATA`; where CI is set their absence is a failure."""
    folder = os.environ.get("GLANE_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("GLANE_DATA is not set; in CI the real collections may not be skipped")
    pytest.skip("GLANE_DATA is not set: the real collections are not here")
