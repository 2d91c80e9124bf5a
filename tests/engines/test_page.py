"""The programs of docs/engines.md run as they stand there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.pages import like, outputs
from tests.engines.conftest import SHORT

from glane.commands.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))


def test_the_program_for_qdrant(make_index: Callable[..., Path], tmp_path: Path) -> None:
    index, folder = str(make_index()), str(tmp_path / "qdrant")
    assert main(["push", "qdrant", folder, "documents", index]) == 0
    assert told_by("ask.py", folder, "documents", index) == 2


def test_the_program_for_postgres(make_index: Callable[..., Path], table: tuple[str, str]) -> None:
    index = str(make_index(SHORT))
    assert main(["push", "postgres", *table, index]) == 0
    assert told_by("rows.py", *table, index) == 2


def test_the_program_for_files(
    make_index: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, folder = str(make_index(SHORT)), tmp_path / "files"
    assert main(["push", "elasticsearch", index, str(folder)]) == 0
    (shown,) = [each for each in outputs(PAGE) if "mapping.json" in each]
    first = shown.splitlines()[0].removeprefix("elasticsearch ")
    assert like(first).search(capsys.readouterr().out), "the page shows another line"
    assert told_by("body.py", str(folder / "query.json"), index) == 1


def told_by(program: str, *words: str) -> int:
    """Return how many lines a program prints, asked for tea."""
    code = PROGRAMS[program].replace("gene expression in cancer", "tea")
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return len(done.stdout.splitlines())
