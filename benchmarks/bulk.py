"""Memory of a bulk run: does it grow with what was indexed?

Usage: python benchmarks/bulk.py 1000000 --options "--retriever bm25"
       python benchmarks/bulk.py 20000 --options "--retriever bm25 --reranker MODEL"

So many synthetic documents of 60 words, whose frequencies fall as those of a language do, are
indexed by `glane index --ray local`. Each second the memory of the program and of Ray's workers is
looked at: resident (mapped files included), and what is a process's own (`Anonymous`). Told is the
highest of each fifth of the run. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from spreading import workers
from turns import Memory, memory

N_WORDS = 60

VOCABULARY = 200_000

PARTS = 5


class Moment(NamedTuple):
    """What was seen at once: the program, and of the workers the one with the most."""

    program: Memory
    worker: Memory


def main() -> None:
    """Write documents, index them, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=int)
    parser.add_argument("--options", required=True, help="of `glane index`, quoted")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, index = Path(folder) / "documents.jsonl", Path(folder) / "index"
        write(path, given.documents)
        ray = ["--ray", "local", "--ray-workers", str(given.workers)]
        asked = ["index", str(index), "--documents", str(path), *ray, *shlex.split(given.options)]
        start = time.perf_counter()
        moments = watched([sys.executable, "-m", "glane", *asked, "--json"])
        seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in index.rglob("*"))
    print(f"{given.documents:,} documents in {seconds:.0f} s, an index of {size / 1e6:,.0f} MB\n")
    show(moments)


def write(path: Path, n_documents: int) -> None:
    """Write documents of random words as JSON lines."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_documents):
            words = rng.zipf(1.2, N_WORDS) % VOCABULARY
            text = " ".join(f"w{word}" for word in words.tolist())
            file.write(json.dumps({"_id": str(number), "title": "", "text": text}) + "\n")


def watched(command: list[str]) -> list[Moment]:
    """Run a command, and return what was seen each second."""
    before = set(workers())
    moments = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            own = memory(process.pid)
            each = [memory(pid) for pid in set(workers()) - before]
            moments.append(Moment(own, max(each, default=Memory(0, 0))))
            time.sleep(1)
    if process.returncode:
        raise SystemExit(process.returncode)
    return moments


def show(moments: list[Moment]) -> None:
    """Print the highest of each part of the run."""
    print("| of the run | the program, MB | of its own | a worker, MB | of its own |")
    print("|---|---|---|---|---|")
    table = np.array([[*moment.program, *moment.worker] for moment in moments])
    for part, rows in enumerate(np.array_split(table, PARTS), start=1):
        cells = [f"{most:.0f}" for most in rows.max(axis=0, initial=0)]
        print(f"| to {part / PARTS:.0%} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
