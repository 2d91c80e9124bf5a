"""Every block of code in the pages is run, or says why it is not.

A page is run from top to bottom in one process, in a folder of its own with what `made` makes:
its Python in one namespace, its commands through the program's own entry. So that it takes
seconds, each training is of a tiny base and takes two steps; a server is parsed, and not started.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs import made
from tests.docs.pages import PAGES, ROOT, blocks, read

from glane.commands.main import main
from glane.commands.program import parse

NEEDED = {
    "README.md": "glane-demo/model",
    "docs/browser.md": "corpus.jsonl",
    "docs/commands-by-example.md": "triples.jsonl corpus.jsonl beir_folder before.run after.run "
    "more.jsonl splade-model",
    "docs/cluster.md": "corpus.jsonl model",
    "docs/comparing.md": "beir_folder before after",
    "docs/edge-function.md": "corpus.jsonl",
    "docs/explanations.md": "index questions.txt",
    "docs/fields-and-phrases.md": "products.jsonl",
    "docs/files.md": "articles.json faq.csv part-1.jsonl.gz beir_folder q.csv qrels.txt "
    "queries.tsv qrels.dev.tsv run.txt",
    "docs/filters.md": "products.jsonl",
    "docs/fusion.md": "index beir_folder",
    "docs/long-documents.md": "reports.jsonl model",
    "docs/mining.md": "scifact MODEL INDEX pairs.csv corpus.jsonl cross-encoder",
    "docs/coming-from-pylate.md": "pylate-model corpus.jsonl",
    "docs/record-of-a-training.md": "run.toml triples.jsonl",
    "docs/results.md": "scifact",
    "docs/serving.md": "INDEX",
    "docs/token-vectors.md": "model",
    "docs/training-data.md": "triples.train.tsv queries.tsv collection.tsv medquad pairs.csv "
    "triples.jsonl",
    "docs/training-script.md": "triples.jsonl scored.jsonl faq.csv",
    "skills/glane/SKILL.md": "corpus.jsonl more.jsonl model triples.jsonl beir_folder",
    "docs/coming-from-sentence-transformers.md": "st-model corpus.jsonl",
}
"""What a page expects to be there."""

SERVERS = {"serve", "mcp"}
"""Commands that do not end."""

HUB = "sentence-transformers/all-MiniLM-L6-v2"
"""A base that pages name, and that is not fetched here."""

TINY = ["--max-steps", "2", "--document-length", "24", "--query-length", "12"]
"""What a training is told besides."""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin in an empty folder, with the names that pages use for their data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA", ".")
    monkeypatch.setenv("BASE", "base")
    monkeypatch.setenv("MLM", "base")
    sys.modules.pop("glane_serve.function", None)  # it loads its index when it is imported


BLOCKS = {page: blocks(read(page)) for page in PAGES}

RUN = {page: [block for block in found if not block.mark] for page, found in BLOCKS.items()}
"""What is run here, page by page."""


@pytest.mark.parametrize("page", [page for page, found in RUN.items() if found])
def test_every_block_of_a_page_runs(page: str, tmp_path: Path) -> None:
    for name in [*NEEDED.get(page, "").split(), "base"]:
        made.make(tmp_path, name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in RUN[page]:
        if block.language == "python":
            code = block.code.replace(f'"{HUB}"', '"base"')
            exec(compile(code, page, "exec"), namespace)
        else:
            for line in block.code.splitlines():
                run_line(line)


def test_a_block_that_is_not_run_here_says_why_or_which_test_runs_it() -> None:
    marked = [(page, block) for page, found in BLOCKS.items() for block in found if block.mark]
    for page, block in marked:
        assert block.mark in ("not run", "run by"), (page, block)
        if block.mark == "run by":
            assert Path(page).name in (ROOT / block.said).read_text(encoding="utf-8"), block


def test_every_fence_is_read_as_a_block_or_is_of_another_language() -> None:
    for page, found in BLOCKS.items():
        assert len(re.findall(r"(?m)^ *```(?:python|sh|bash|shell|console)$", read(page))) == len(
            found
        ), page


def test_a_line_that_fails_is_seen() -> None:
    for line in ("glane search gone tea", "false | true"):
        with pytest.raises((AssertionError, subprocess.CalledProcessError)):
            run_line(line)


def run_line(line: str) -> None:
    """Run a line of the shell: by bash where it is more than commands of glane."""
    words = shlex.split(os.path.expandvars(line), comments=True)
    if not words:
        return
    commands = [list(each) for each in _parted(words, "&&")]
    if all(command[0] == "glane" for command in commands) and not {"|", ">"} & {*words}:
        for command in commands:
            run_command(command[1:])
        return
    shell = f'set -euo pipefail; glane() {{ "{sys.executable}" -m glane "$@"; }}; {line}'
    subprocess.run(["bash", "-c", shell], check=True, timeout=120, capture_output=True)


def run_command(words: list[str]) -> None:
    """Run one command of glane; a training is made short, and a server only parsed."""
    if words[0] in SERVERS:
        parse(words)
        return
    if words[0] == "train":
        words = [*words, *TINY[2 * ("--max-steps" in words) :]]
        if "--base" in words:
            words[words.index("--base") + 1] = "base"
    assert main([*words, "--threads", "1"]) == 0, words  # what was wrong is in the captured output


def _parted(words: list[str], by: str) -> Iterator[list[str]]:
    part: list[str] = []
    for word in words:
        if word == by:
            yield part
            part = []
        else:
            part.append(word)
    yield part
