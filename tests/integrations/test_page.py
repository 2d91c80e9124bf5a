"""The programs of `docs/integrations.md`, run as they are there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))


def output(name: str, folder: Path, *arguments: object) -> list[str]:
    program = folder / name
    program.write_text(PROGRAMS[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_program_of_the_page_is_run_here() -> None:
    assert PAGE.count("```python\n") == len(PROGRAMS)
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in PROGRAMS if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", ["chain.py", "nodes.py", "pipeline.py"])
def test_documents_are_found_and_ordered(
    name: str, make_index: Callable[..., Path], tmp_path: Path
) -> None:
    lines = output(name, tmp_path, make_index(), FIXTURES / "colbert")
    assert len(lines) == 2
    assert all(re.search(r" 202\d ", line) for line in lines)


def test_texts_become_terms(tmp_path: Path) -> None:
    lines = output("splade.py", tmp_path, FIXTURES / "splade")
    assert int(lines[0]) > 0
    assert lines[1:] == ["2"]


def test_an_agent_searches(make_index: Callable[..., Path], tmp_path: Path) -> None:
    assert output("agent.py", tmp_path, make_index(reranks=False)) == ["Tea"]
