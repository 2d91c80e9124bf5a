"""Shards written by Ray while the program is killed again and again, against one index.

Usage: python benchmarks/stopping.py BEIR --colbert MODEL [--stops 10] [--limit N] [--shards 2]

`glane index FOLDER --shards N --ray local` is killed each time that it has committed one block
more, and begun again; the last time it is left alone. Told is how often each shard was committed
to: left alone, once when it is made, once for each block of at most 512 documents, and once when it
is closed. The answers to all test queries are compared with those of `glane shard` of one index.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glane.collection.dataset import read_beir
from glane.store.manifest import MANIFEST, read_manifest
from glane_scale.building import blocks
from glane_scale.sharded import ShardedSearch, read_shards

K = 100


def main() -> None:
    """Write the shards by fits and starts, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("beir", type=Path, help="folder of the collection")
    parser.add_argument("--colbert", required=True, metavar="MODEL", help="exported ColBERT")
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--limit", type=int, default=None, help="documents; default all")
    parser.add_argument("--shards", type=int, default=2)
    given = parser.parse_args()
    queries = list(read_beir(given.beir, "test").queries.values())
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "corpus.jsonl"
        lines = (given.beir / "corpus.jsonl").read_bytes().splitlines(keepends=True)
        documents.write_bytes(b"".join(lines[: given.limit]))
        one, other, shards = (Path(folder) / name for name in ("one", "other", "shards"))
        stages = ["--retriever", "bm25", "--reranker", given.colbert, "--json"]
        command = ["index", "--documents", str(documents), *stages]
        written = [*command, str(shards), "--ray", "local", "--shards", str(given.shards)]
        start = time.perf_counter()
        n_killed = sum(killed(written, shards) for _ in range(given.stops))
        run(written)
        seconds = time.perf_counter() - start
        run([*command, str(one), "--threads", "1"])
        run(["shard", str(one), str(other), "--shards", str(given.shards), "--json"])
        same = ShardedSearch(shards).search(queries, K) == ShardedSearch(other).search(queries, K)
        records = map(json.loads, documents.read_text("utf-8").splitlines())
        dealt = [own for own, _ in blocks(records, given.shards, counted=False)]
        print("| killed | seconds | blocks of each shard | its commits | same answers |")
        print("|---|---|---|---|---|")
        counts = [dealt.count(own) for own in range(given.shards)]
        made = [read_manifest(shard).generation for shard in read_shards(shards)]
        print(f"| {n_killed} | {seconds:.0f} | {counts} | {made} | {same} |")


def killed(argv: list[str], shards: Path) -> bool:
    """Start the program, kill it once a block more is committed; return whether that came to be."""
    before = all_commits(shards)
    with subprocess.Popen(
        [sys.executable, "-m", "glane", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while process.poll() is None and all_commits(shards) == before:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def run(argv: list[str]) -> None:
    """Run a command of glane's, or end with what it says."""
    done = subprocess.run([sys.executable, "-m", "glane", *argv], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(done.returncode)


def all_commits(shards: Path) -> int:
    """Return how often the shards were committed to together; some may not be there yet."""
    return sum(read_manifest(each.parent).generation for each in shards.glob(f"*/{MANIFEST}"))


if __name__ == "__main__":
    main()
