"""A run on Ray that is killed again and again, against one that is left alone.

Usage: python benchmarks/stopping.py BEIR --colbert MODEL [--stops 10] [--limit N] [--shards 2]

`glane index FOLDER --shards N --ray local` is killed each time that it has committed one block
more, and begun again; the last time it is left alone. Told is how often each shard was committed
to: left alone, once when it is made, once for each block of at most 512 documents, and once when it
is closed. The answers to all test queries are compared with those of `glane shard` of one index.

With `--shards 0` it is `glane index INDEX --ray local`, which joins what is encoded into one index:
killed each time that it has saved more. Told is how many documents were saved at each kill: what
comes after them is encoded by the next run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

from glane.collection.dataset import read_beir
from glane.search import Search
from glane.store.manifest import DRAFT, MANIFEST, SHARDS, read_manifest
from glane_scale.building import blocks
from glane_scale.sharded import ShardedSearch, read_shards

K = 100


def main() -> None:
    """Write the shards by fits and starts, compare, tell."""
    parser = ArgumentParser(description=__doc__)
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
        stages = ["--retriever", "bm25", "--reranker", given.colbert, "--json"]
        command = ["index", "--documents", str(documents), *stages]
        (joined if given.shards == 0 else sharded)(command, Path(folder), queries, given)


def sharded(command: list[str], folder: Path, queries: list[str], given: Namespace) -> None:
    """Write shards by fits and starts, and tell of them."""
    one, other, shards = (folder / name for name in ("one", "other", "shards"))
    n_shards = str(given.shards)
    written = [*command, str(shards), "--ray", "local", "--shards", n_shards]
    made, progress = shards / SHARDS, partial(all_commits, shards)
    seconds, stops = by_fits_and_starts(written, progress, made, given.stops)
    run([*command, str(one), "--threads", "1"])
    run(["shard", str(one), str(other), "--shards", n_shards, "--json"])
    same = ShardedSearch(shards).search(queries, K) == ShardedSearch(other).search(queries, K)
    records = map(json.loads, Path(command[2]).read_text("utf-8").splitlines())
    dealt = [own for own, _ in blocks(records, given.shards, counted=False)]
    print("| killed | seconds | blocks of each shard | its commits | same answers |")
    print("|---|---|---|---|---|")
    counts = [dealt.count(own) for own in range(given.shards)]
    commits = [read_manifest(shard).generation for shard in read_shards(shards)]
    print(f"| {len(stops)} | {seconds:.0f} | {counts} | {commits} | {same} |")


def joined(command: list[str], folder: Path, queries: list[str], given: Namespace) -> None:
    """Write one index by fits and starts, and tell of it."""
    one, index = folder / "one", folder / "index"
    written = [*command, str(index), "--ray", "local"]
    made, progress = index / MANIFEST, partial(n_saved, index)
    seconds, stops = by_fits_and_starts(written, progress, made, given.stops)
    run([*command, str(one), "--threads", "1"])
    search, other = Search.load(index, threads=1), Search.load(one, threads=1)
    same = search.search(queries, K) == other.search(queries, K)
    print("| killed | seconds | saved at each kill | documents | same answers |")
    print("|---|---|---|---|---|")
    print(f"| {len(stops)} | {seconds:.0f} | {stops} | {len(search)} | {same} |")


def by_fits_and_starts(
    argv: list[str], progress: Callable[[], int], made: Path, n_stops: int
) -> tuple[float, list[int]]:
    """Kill a command each time that it has come further; return its seconds, and how far it was.

    The last step of all writes the file `made`; a command killed after it has nothing left to do.
    """
    start = time.perf_counter()
    stops: list[int] = []
    while len(stops) < n_stops and not made.exists() and killed(argv, progress):
        stops.append(progress())
    if not made.exists():
        run(argv)
    return time.perf_counter() - start, stops


def killed(argv: list[str], progress: Callable[[], int]) -> bool:
    """Start a command, and kill it once it has come further; return False where it came to its end.

    Raises:
        SystemExit: If it ended in an error.
    """
    before = progress()
    with subprocess.Popen(
        [sys.executable, "-m", "glane", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while process.poll() is None and progress() == before:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(process.returncode)
    return process.returncode == -signal.SIGKILL


def run(argv: list[str]) -> None:
    """Run a command of glane's, or end with what it says."""
    done = subprocess.run([sys.executable, "-m", "glane", *argv], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(done.returncode)


def all_commits(shards: Path) -> int:
    """Return how often the shards were committed to together; some may not be there yet."""
    return sum(read_manifest(each.parent).generation for each in shards.glob(f"*/{MANIFEST}"))


def n_saved(index: Path) -> int:
    """Return how many documents a run has saved."""
    name = next((name for name in (DRAFT, MANIFEST) if (index / name).exists()), None)
    return 0 if name is None else read_manifest(index, name).tables["keys"].next_id


if __name__ == "__main__":
    main()
