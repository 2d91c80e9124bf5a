"""The recipe with optimum in `docs/export.md`, in an environment that it makes itself."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.owners

DOC = Path(__file__).parents[2] / "docs" / "export.md"


def recipe() -> list[list[str]]:
    """Return the words of each line of the documented recipe."""
    (block,) = re.findall(r"```sh\n(python3 -m venv optimum\n.*?)```", DOC.read_text(), re.DOTALL)
    return [shlex.split(line) for line in str(block).splitlines()]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first two lines were run."""
    folder = tmp_path_factory.mktemp("recipe")
    for line in recipe()[:2]:
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("level", ["none", "O1", "O2", "O3"])
def test_the_recipe_with_optimum_runs(
    make_checkpoint: Callable[..., Path], environment: Path, tmp_path: Path, level: str
) -> None:
    places = {"CHECKPOINT": str(make_checkpoint()), "MODEL": str(tmp_path / "model"), "O2": level}
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    make, export = ([places.get(word, word) for word in line] for line in recipe()[2:])
    if level == "none":
        make = [word for word in make if word not in ("--optimize", level)]
    subprocess.run(make, cwd=environment, env=offline, check=True, capture_output=True)
    glane = str(Path(sys.executable).with_name(export[0]))
    done = subprocess.run(
        [glane, *export[1:], "--json"], cwd=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert all(bound["kept"] for bound in report["bounds"])
    shares = [b["figure"] for b in report["bounds"] if b["measure"] == "share of products in int8"]
    assert shares == [1]
    assert bool(report["graph"]["taken_apart"]) == (level in ("O2", "O3"))
