"""The wheel: built as it would be released, and by itself all that its commands need."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.docs.made import base as make_base
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, in a folder that is asked before the checkout."""
    folder = tmp_path_factory.mktemp("unpacked")
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def run(*words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_both_archives_are_sound(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert [file.suffix for file in files] == [".whl", ".gz"]
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *files)
    assert checked.count("PASSED") == 2


def test_the_wheel_has_every_file_of_the_packages(unpacked: Path) -> None:
    for package in (*(ROOT / "runtime").iterdir(), *(ROOT / "export").iterdir()):
        for file in package.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert (unpacked / package.name / file.relative_to(package)).is_file(), file


def test_the_demo_runs_from_the_wheel_alone(unpacked: Path, tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    where = run(
        sys.executable, "-c", "import glane; print(glane.__file__)", PYTHONPATH=str(unpacked)
    )
    assert Path(where.strip()).is_relative_to(unpacked)
    printed = run(
        *(sys.executable, "-m", "glane", "demo", "--threads", "1", "--base", tmp_path / "base"),
        *("--out", tmp_path / "demo"),
        PYTHONPATH=str(unpacked),
    )
    assert "ColBERT, fine-tuned, int8" in printed
