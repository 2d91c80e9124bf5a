"""From the start of a process to its first answer: processor time, all that is imported included.

Usage: python benchmarks/starting.py BEIR MODEL [--checkpoint CHECKPOINT] [--documents 1000]

Each turn is a new process of one thread that opens what was stored and asks one query: BM25 of
glane and of bm25s over the first documents, and each library's ColBERT, which encodes the query.
PyLate is given the checkpoint that MODEL was exported from. `most memory, MB` is that of the
process that answers; the one that starts it has its own, told as of every engine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from encoders import handed
from turns import Engine, Turn, add_arguments, compare

from glane import BM25, Search, read_beir

GLANE = """
import sys
from glane import Search
print(Search.load(sys.argv[1]).search([sys.argv[2]], k=10).ids)
"""

BM25S = """
import sys
import bm25s, Stemmer
bm25 = bm25s.BM25.load(sys.argv[1])
query = bm25s.tokenize(sys.argv[2], stemmer=Stemmer.Stemmer("english"), show_progress=False)
print(bm25.retrieve(query, k=10, show_progress=False).documents)
"""

COLBERT = """
import sys
from glane import ColBERT
print(ColBERT.load(sys.argv[1]).encode_queries([sys.argv[2]]))
"""

PYLATE = """
import sys
from pylate import models
model = models.ColBERT(sys.argv[1], device="cpu")
print(model.encode([sys.argv[2]], is_query=True, show_progress_bar=False)[0].shape)
"""

MEMORY = """
print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""

Store = Callable[[argparse.Namespace, list[str], str], None]
"""Writes what the process is to open into a folder."""


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--checkpoint", help="of which the model was exported")
    parser.add_argument("--documents", type=int, default=1000)
    add_arguments(parser, rounds=5)
    arguments = parser.parse_args()
    engines = {
        "glane, BM25": Engine(started(GLANE, store_ours)),
        "bm25s": Engine(started(BM25S, store_theirs), ("bm25s", "Stemmer")),
        "glane, ColBERT encodes": Engine(started(COLBERT, link_model)),
    }
    if arguments.checkpoint is not None:
        engines["PyLate encodes"] = Engine(started(PYLATE, hand_over), ("pylate",))
    compare(engines, arguments)


def started(program: str, store: Store) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Return how an engine starts: its files are written once, and opened in every turn."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        data = read_beir(arguments.data, "test")
        folder = tempfile.TemporaryDirectory()
        texts = [*data.corpus.values()][: arguments.documents]
        stored = str(Path(folder.name) / "stored")
        store(arguments, texts, stored)
        query = next(iter(data.queries.values()))

        def turn(_: Any = folder) -> Turn:  # noqa: ANN401 (the folder, kept as long as this)
            return Turn(figures_of([sys.executable, "-c", program + MEMORY, stored, query]), [])

        return turn

    return start


def figures_of(argv: list[str]) -> dict[str, float]:
    """Return what a process takes, which says its most memory last: the system's figure has ours.

    (Linux counts in `ru_maxrss` what a process had before it became another program.)
    """
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    done = subprocess.run(argv, text=True, check=True, **pipes)  # type: ignore[call-overload]
    took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "processor time, s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "time, s": took,
        "most memory, MB": int(done.stdout.splitlines()[-1]) / 1e3,
    }


def store_ours(_: argparse.Namespace, texts: list[str], folder: str) -> None:
    """Write an index of BM25."""
    search = Search(BM25())
    search.add({"id": number, "text": text} for number, text in enumerate(texts))
    search.save(folder)


def store_theirs(_: argparse.Namespace, texts: list[str], folder: str) -> None:
    """Write an index of bm25s."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    bm25 = bm25s.BM25()
    tokens = bm25s.tokenize(texts, stemmer=stemmer, show_progress=False)
    bm25.index(tokens, show_progress=False)
    bm25.save(folder)


def link_model(arguments: argparse.Namespace, _: list[str], folder: str) -> None:
    """Let the folder be that of the model."""
    Path(folder).symlink_to(Path(arguments.model).resolve())


def hand_over(arguments: argparse.Namespace, _: list[str], folder: str) -> None:
    """Write the checkpoint as PyLate reads it."""
    Path(handed(arguments.checkpoint, str(Path(folder).parent))).rename(folder)


if __name__ == "__main__":
    main()
