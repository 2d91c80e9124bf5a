"""The pages need all extras and what `--group dev` brings; without them this folder is skipped."""

import os
from importlib.util import find_spec

NEEDED = ("bm25s", "fastapi", "onnx", "torch", "transformers", "zensical")

MISSING = [name for name in NEEDED if find_spec(name) is None]
if MISSING and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {MISSING} are not installed")
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str | None:
    return f"tests/docs is skipped: {MISSING} are not installed" if MISSING else None
