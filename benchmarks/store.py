"""The index on disk at size: opening, first query, memory of a server, and what an addition costs.

Usage: python benchmarks/store.py BEIR_FOLDER WORK_FOLDER [--n-documents 1000000] [--n-new 10000]

Documents are 100 words each, drawn with the frequencies of the collection's words, under string
ids; queries are the collection's. The index is built once in WORK_FOLDER and kept there. Each
figure is of a process of its own; imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glane import BM25, Search, dataset
from glane.store.manifest import read_manifest

WORDS = 100
BATCH = 50_000


def documents(folder: Path, first: int, last: int, seed: int) -> Iterator[dict[str, str]]:
    """Yield synthetic documents with the ids `first` to `last`."""
    texts = dataset.read_beir(folder, "test").corpus.values()
    counts = Counter(word for text in texts for word in re.findall(r"\w+", text.lower()))
    words = np.array(list(counts))
    shares = np.array(list(counts.values())) / sum(counts.values())
    rng = np.random.default_rng((seed, first))
    drawn = rng.choice(len(words), size=(last - first, WORDS), p=shares)
    for number, row in enumerate(drawn, first):
        yield {"id": f"document-{number}", "text": " ".join(words[row])}


def build(arguments: argparse.Namespace) -> dict[str, float]:
    """Make the large index, a batch at a time."""
    start = time.perf_counter()
    index = arguments.work / "index"
    Search(BM25()).save(index)
    for first in range(0, arguments.n_documents, BATCH):
        last = min(arguments.n_documents, first + BATCH)
        with Search.edit(index) as search:
            search.add(documents(arguments.beir, first, last, seed=0))
        print(f"{last} documents, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return {"build, s": time.perf_counter() - start}


def opening(arguments: argparse.Namespace) -> dict[str, float]:
    """Open the large index and answer: the first query, then all."""
    queries = list(dataset.read_beir(arguments.beir, "test").queries.values())
    start = time.perf_counter()
    search = Search.load(arguments.work / "index")
    opened = time.perf_counter()
    search.search(queries[:1])
    answered = time.perf_counter()
    for query in queries[1:]:
        search.search([query])
    return {
        "opening, s": opened - start,
        "first query, s": answered - opened,
        "a query on average, first time, s": (time.perf_counter() - answered) / (len(queries) - 1),
        "private memory after all queries, MB": private_bytes() / 1e6,
    }


def add_to_large(arguments: argparse.Namespace) -> dict[str, float]:
    """Add to the large index, by one process that opens it, adds and commits."""
    new = list(documents(arguments.beir, 10**8, 10**8 + arguments.n_new, seed=1))
    index = arguments.work / "grown"
    shutil.copytree(arguments.work / "index", index, copy_function=os.link)
    start = time.perf_counter()
    with Search.edit(index) as search:
        search.add(new)
    seconds = time.perf_counter() - start
    shutil.rmtree(index)
    return {"add to the large index, s": seconds}


def add_to_empty(arguments: argparse.Namespace) -> dict[str, float]:
    """Add the same to an empty index, likewise."""
    new = list(documents(arguments.beir, 10**8, 10**8 + arguments.n_new, seed=1))
    index = arguments.work / "new"
    Search(BM25()).save(index)
    start = time.perf_counter()
    with Search.edit(index) as search:
        search.add(new)
    seconds = time.perf_counter() - start
    shutil.rmtree(index)
    return {"add to an empty index, s": seconds}


def private_bytes() -> int:
    """Return the memory that this process has for itself alone, mapped files included."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


PARTS = {part.__name__: part for part in (build, opening, add_to_large, add_to_empty)}


def main() -> None:
    """Run one part, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("beir", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--n-documents", type=int, default=1_000_000)
    parser.add_argument("--n-new", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=PARTS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, numpy {np.__version__}")
    parts = [name for name in PARTS if name != "build"] * arguments.rounds
    if not (arguments.work / "index").exists():
        parts = ["build", *parts]
    for part in parts:
        argv = [sys.executable, __file__, *sys.argv[1:], "--part", part]
        printed = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout
        for row, value in json.loads(printed).items():
            print(f"{row:40s} {value:10.4g}")
    manifest = read_manifest(arguments.work / "index")
    n_bytes = sum(entry.n_bytes for entry in manifest.files.values())
    n_segments = len(manifest.tables["retriever"].segments)
    print(f"{'bytes of a document':40s} {n_bytes / arguments.n_documents:10.4g}")
    print(f"{'segments':40s} {n_segments:10d}")


if __name__ == "__main__":
    main()
