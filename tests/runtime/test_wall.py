"""The wall between the parts: who imports whom, what `import glane` loads, what the base needs."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from glane.integrations import missing

ROOT = Path(__file__).parents[2]

HEAVY = {"accelerate", "matplotlib", "onnx", "optimum", "pandas", "scipy", "torch", "transformers"}
"""What the runtime may never import, whatever is installed."""

FORBIDDEN = {
    "runtime": HEAVY | {"glane_export", "glane_trainer", "huggingface_hub", "safetensors"},
    "trainer": {"glane_export", "onnx", "onnxruntime"},
    "export": set[str](),
}

FRAMEWORKS = {
    *("haystack", "langchain_core", "llama_index", "mcp", "psycopg", "pydantic", "qdrant_client"),
}
"""What the classes for other frameworks are made of, which are imported by name alone."""

LATE = {"huggingface_hub", "onnxruntime"} | FRAMEWORKS
"""What `import glane` alone may not load, though the runtime needs it or brings it along."""

BASE = {"numpy", "onnxruntime", "snowballstemmer", "tokenizers", "tqdm"}


def imported(source: str) -> set[str]:
    """Return the top-level names that a module imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def breaches(root: Path) -> list[str]:
    """Return `file imports name` for each import across the wall."""
    return [
        f"{path.relative_to(root)} imports {name}"
        for part, forbidden in FORBIDDEN.items()
        for path in sorted((root / part).rglob("*.py"))
        for name in sorted(imported(path.read_text(encoding="utf-8")) & forbidden)
    ]


def test_no_part_imports_across_the_wall() -> None:
    assert breaches(ROOT) == []


def test_the_library_knows_nothing_of_what_serves_it() -> None:
    serving = {
        "glane_serve",
        "glane_engines",
        "fastapi",
        "starlette",
        "uvicorn",
        "prometheus_client",
        "glane_scale",
        "ray",
    }
    for path in sorted((ROOT / "runtime" / "glane").rglob("*.py")):
        assert not imported(path.read_text(encoding="utf-8")) & serving, path


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("runtime", "import scipy.sparse"),
        ("runtime", "def late():\n    from torch import nn"),
        ("runtime", "from glane_trainer import models"),
        ("trainer", "import glane_export"),
    ],
)
def test_a_planted_import_is_found(part: str, line: str, tmp_path: Path) -> None:
    for folder in FORBIDDEN:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / part / "planted.py").write_text(line)
    name = sorted(imported(line))[0]
    assert breaches(tmp_path) == [f"{part}/planted.py imports {name}"]


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules in memory after a statement in a fresh interpreter."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_import_glane_loads_nothing_heavy() -> None:
    assert loaded_by("import glane") & (HEAVY | LATE) == set()


def test_integrations_load_no_framework_until_one_is_named() -> None:
    assert loaded_by("import glane.integrations.found") & (HEAVY | LATE - {"onnxruntime"}) == set()


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("langchain", "langchain_core", "langchain-core"),
        ("llama_index", "llama_index", "llama-index-core"),
        ("haystack", "haystack", "haystack-ai"),
        ("postgres", "psycopg", "'psycopg[binary]'"),
        ("qdrant", "qdrant_client", "qdrant-client"),
    ],
)
def test_a_framework_that_is_missing_is_named(name: str, module: str, package: str) -> None:
    absent = f"import sys; sys.modules[{module!r}] = None; import glane.integrations.{name}"
    done = subprocess.run(
        [sys.executable, "-c", absent], capture_output=True, text=True, check=False, timeout=60
    )
    line = f"this part of glane.integrations needs {package}: pip install {package}"
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {line}"


def test_what_a_framework_misses_itself_is_told_as_it_is() -> None:
    error = ModuleNotFoundError("No module named 'yaml'", name="yaml")
    assert missing("haystack-ai", "haystack", error) is error
    other = ModuleNotFoundError("No module named 'haystack_x'", name="haystack_x")
    assert missing("haystack-ai", "haystack", other) is other


def test_what_is_loaded_is_seen() -> None:
    assert "onnxruntime" in loaded_by("import onnxruntime")


def test_lexical_search_does_not_load_onnxruntime() -> None:
    statement = (
        "from glane import BM25, Search; s = Search(BM25()); "
        "s.add([{'id': 1, 'text': 'tea'}]); assert s.search(['tea']).ids == [[1]]"
    )
    assert loaded_by(statement) & (HEAVY | LATE) == set()


def test_the_base_requires_only_the_light_packages() -> None:
    base = [line for line in requires("glane") or [] if "extra ==" not in line]
    assert {re.split(r"[<>=~! ;\[]", line)[0] for line in base} == BASE
