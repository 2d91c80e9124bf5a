"""Indexing by Ray against one process: the same index, and what it takes.

Usage: python benchmarks/spreading.py BEIR [--splade MODEL] [--sparse-embed MODEL]
           [--colbert MODEL] [--workers 2] [--rounds 1] [--kill] [--limit N]

For BM25 and TfIdf, and each kind of which a model is named, the collection is indexed by `glane
index --threads WORKERS` and by `glane index --ray local --ray-workers WORKERS`, in turns; BM25 and
TfIdf with the ColBERT as reranker, if there is one. Told are the seconds of each, and whether Ray's
index gives all test queries the ids and scores of one that is made on one thread, as each worker
computes, and is, both compacted, the same files. With --kill a worker is killed while it works.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glane import Search
from glane.collection.dataset import read_beir

K = 100

KINDS = ("splade", "sparse-embed", "colbert")


def main() -> None:
    """Index by both, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("beir", help="folder of the collection")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", metavar="MODEL", help="exported model of this kind")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit", type=int, default=None, help="documents; default all")
    parser.add_argument("--kill", action="store_true", help="kill a worker while it works")
    arguments = parser.parse_args()
    named = {kind: getattr(arguments, kind.replace("-", "_")) for kind in KINDS}
    models = {kind: model for kind, model in named.items() if model is not None}
    queries = list(read_beir(arguments.beir, "test").queries.values())
    print("| retriever | one process, s | Ray, s | of it | same answers | same files |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "corpus.jsonl"
        with (Path(arguments.beir) / "corpus.jsonl").open("rb") as source:
            lines = source.readlines()[: arguments.limit]
        documents.write_bytes(b"".join(lines))
        for kind in ("bm25", "tfidf", *models):
            row(kind, stages(kind, models), documents, queries, arguments)


def stages(kind: str, models: dict[str, str]) -> list[str]:
    """Return the options that say what an index is made of."""
    options = ["--retriever", kind]
    if kind in models:
        return [*options, "--model", models[kind]]
    return [*options, "--reranker", models["colbert"]] if "colbert" in models else options


def row(
    kind: str, options: list[str], documents: Path, queries: list[str], given: argparse.Namespace
) -> None:
    """Index in turns, and tell of it in a row."""
    folder = documents.parent
    here, there = folder / "here", folder / "there"
    took: dict[Path, list[float]] = {here: [], there: []}
    ways = {
        here: ["--threads", str(given.workers)],
        there: ["--ray", "local", "--ray-workers", str(given.workers)],
    }
    for _ in range(given.rounds):
        for index, way in ways.items():
            shutil.rmtree(index, ignore_errors=True)
            argv = ["index", str(index), "--documents", str(documents), *options, *way, "--json"]
            took[index].append(indexed(argv, kill=given.kill and index == there))
    alone = folder / "alone"
    shutil.rmtree(alone, ignore_errors=True)
    argv = ["index", str(alone), "--documents", str(documents), *options, "--threads", "1"]
    indexed([*argv, "--json"], kill=False)
    compared = (alone, there)
    one, other = (Search.load(index, threads=1) for index in compared)
    same = one.search(queries, K) == other.search(queries, K)
    files = [compacted(index) for index in compared]
    seconds = [statistics.median(each) for each in took.values()]
    told = [f"{each:.1f}" for each in seconds]
    share = f"{seconds[0] / seconds[1]:.2f}"
    print(
        f"| {kind} | {' | '.join(told)} | {share} | {same} | {files[0] == files[1]} |", flush=True
    )


def indexed(argv: list[str], *, kill: bool) -> float:
    """Run `glane index`, kill a worker where that is wanted, and return its own seconds."""
    before = set(workers())
    with subprocess.Popen(
        [sys.executable, "-m", "glane", *argv], stdout=subprocess.PIPE, text=True
    ) as process:
        if kill:
            while process.poll() is None and not (new := set(workers()) - before):
                time.sleep(0.02)
            os.kill(min(new), signal.SIGKILL)
        out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    return float(json.loads(out)["seconds"])


def workers() -> list[int]:
    """Return the processes of this machine that are workers of glane's."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            name = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::Worker"):
            found.append(int(folder.name))
    return found


def compacted(index: Path) -> list[bytes]:
    """Return what the files of an index hold, once it is compacted."""
    subprocess.run(
        [sys.executable, "-m", "glane", "compact", str(index), "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return sorted(path.read_bytes() for path in (index / "segments").iterdir())


if __name__ == "__main__":
    main()
