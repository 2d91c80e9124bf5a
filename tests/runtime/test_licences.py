"""The table of what the base install brings, in `docs/installing.md`: as it is now."""

import re
import runpy
import sys
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import needed

ROOT = Path(__file__).parents[2]
LICENCES: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "licences.py"))


def told() -> dict[str, tuple[str, str]]:
    """Return version and licence of each package of the page."""
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    table = page.partition("| package | version | licence |\n|---|---|---|\n")[2]
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", table, re.MULTILINE)
    return {name: (number, licence) for name, number, licence in rows}


def pinned() -> dict[str, str]:
    """Return the versions of `constraints.txt`."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def test_the_table_has_the_versions_that_are_known_to_work() -> None:
    assert {name: number for name, (number, _) in told().items()} == {
        name: pinned()[name] for name in told()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the table is that of Linux")
def test_the_table_is_that_of_the_packages_themselves() -> None:
    own = {name: version(name) for name in told()}
    needed(own == {name: pinned()[name] for name in own}, "what constraints.txt names")
    licences = {name: LICENCES["licence"](metadata(name)) for name in LICENCES["base"]()}
    assert licences == {name: licence for name, (_, licence) in told().items()}


def test_direct_requirements_are_in_the_table() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    direct = re.findall(r'^    "([\w-]+)>=', project.partition("dependencies = [")[2], re.MULTILINE)
    assert "numpy" in direct
    assert {*direct[:5]} <= {*told()}
