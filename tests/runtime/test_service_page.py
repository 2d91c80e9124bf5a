"""The programs of `docs/service.md`, run as they are there."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Search

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "tea", "title": "Tea", "text": "green tea and black tea"},
    {"_id": 7, "title": "Spring", "text": "a river in spring"},
    {"_id": "é", "title": "", "text": "stone"},
]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    colbert = ColBERT.load(FIXTURES / "colbert-int8", threads=1)
    search = Search(BM25(), reranker=colbert, key="_id", on=["title", "text"])
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    return tmp_path / "index"


def output(name: str, folder: Path, *arguments: str) -> list[str]:
    program = folder / name
    program.write_text(PROGRAMS[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_every_program_of_the_page_is_run_here() -> None:
    assert PAGE.count("```python\n") == len(PROGRAMS)
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in PROGRAMS if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", ["threads.py", "spawn.py"])
def test_threads_and_processes_answer_as_one(name: str, index: Path, tmp_path: Path) -> None:
    lines = output(name, tmp_path, str(index))
    assert ["tea" in lines[0], "7" in lines[1], len(lines)] == [True, True, 2]


def test_an_event_loop_is_answered_and_adds(index: Path, tmp_path: Path) -> None:
    lines = output("asyncio_service.py", tmp_path, str(index))
    assert ["tea" in lines[0], "7" in lines[1], "news" in lines[2]] == [True] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")
@pytest.mark.parametrize("way", ["preload", "each"])
def test_forked_workers_answer_the_same_whoever_loaded(
    way: str, index: Path, tmp_path: Path
) -> None:
    (line,) = output("preload.py", tmp_path, str(index), "2", way)
    assert re.fullmatch(r"workers \[[\d.]+, [\d.]+\] MB, with their parent \d+ MB", line)


def test_a_reader_takes_what_a_writer_commits(index: Path, tmp_path: Path) -> None:
    assert output("updates.py", tmp_path, str(index)) == [
        "there is something new",
        "[['comet']]",
    ]


def test_a_backup_is_made_and_then_brought_up_to_date(index: Path, tmp_path: Path) -> None:
    backup = str(tmp_path / "backup")
    (line,) = output("backups.py", tmp_path, str(index), backup)
    assert re.fullmatch(r"3 documents, \d+ files written", line)
    assert output("backups.py", tmp_path, str(index), backup) == ["3 documents, 0 files written"]


def test_the_logger_and_the_timings_are_seen(index: Path, tmp_path: Path) -> None:
    lines = output("watching.py", tmp_path, str(index))
    timings = [json.loads(line.replace("'", '"')) for line in lines[:2]]
    assert [list(each) for each in timings] == [["encode", "retrieve", "rerank", "fuse"]] * 2
    assert any("glane DEBUG loaded" in line for line in lines)
