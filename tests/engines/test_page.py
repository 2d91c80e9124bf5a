"""The programs of docs/engines.md run as they stand there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from glane.commands.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))


def test_the_program_for_qdrant(make_index: Callable[..., Path], tmp_path: Path) -> None:
    index, folder = str(make_index()), str(tmp_path / "qdrant")
    assert main(["push", "qdrant", folder, "documents", index]) == 0
    command = [sys.executable, "-c", PROGRAMS["ask.py"], folder, "documents", index]
    asked = [*command[:2], command[2].replace("gene expression in cancer", "tea"), *command[3:]]
    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""
