"""How an index grows: build, size on disk, opening, queries and memory at several sizes, plotted.

Usage: python benchmarks/growth.py bm25|splade|colbert [--sizes 1000 10000 100000]
           [--out FILE.json]

Documents are random: 100 words each for BM25, 120 weighed terms for SPLADE (`sparse.py`), 60 int8
vectors of 128 dimensions for ColBERT, which scores all of them for each query. They are added in
batches and saved by a process of its own; each turn opens what was saved, in a process that did not
build it, and asks queries that are new to it. Ratios are to the smallest size. Where the result is
written, a plot lies beside it (FILE.png), if matplotlib is installed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bm25 import synthetic
from maxsim import unit
from sparse import weighed
from turns import Engine, Turn, add_arguments, compare, seconds

from glane import BM25
from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.postings.postings import Postings, weigh_as_it_is
from glane.store.reading import open_state
from glane.store.segments import Segments
from glane.store.stage import load_tables, save_retriever

BATCH = 20_000
"""Documents added at once."""

N_QUERIES = 20

K = 100

DIM = 128


class Kind(NamedTuple):
    """What grows.

    Attributes:
        index: Makes an empty index.
        documents: Returns n of them, of a seed.
        queries: Likewise.
    """

    index: Callable[[], Any]
    documents: Callable[[int, int], Any]
    queries: Callable[[int, int], Any]


class Kept(NamedTuple):
    """An index as the store takes it."""

    index: Any

    def record(self) -> dict[str, Any]:
        """Return what kind it is."""
        return {"kind": "grown"}

    def tables(self) -> dict[str, Segments]:
        """Return what is stored."""
        tables: dict[str, Segments] = self.index.tables()
        return tables


def tokens(length: int, n: int, seed: int) -> Any:  # noqa: ANN401 (of any kind)
    """Return random token vectors."""
    return unit(np.random.default_rng(seed), [length] * n, DIM)


KINDS = {
    "bm25": Kind(
        lambda: Postings(BM25().formula.weighting),
        lambda n, seed: synthetic(n, 100, 200_000, seed),
        lambda n, seed: synthetic(n, 8, 200_000, seed),
    ),
    "splade": Kind(
        lambda: Postings(weigh_as_it_is),
        lambda n, seed: weighed(n, 120, seed),
        lambda n, seed: weighed(n, 30, seed),
    ),
    "colbert": Kind(
        lambda: MaxSimIndex(DIM, TokenStorage(kind="int8")),
        partial(tokens, 60),
        partial(tokens, 32),
    ),
}


def main() -> None:
    """Read the arguments, measure each size, and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=[*KINDS])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    add_arguments(parser, rounds=3)
    arguments = parser.parse_args()
    sizes = {f"{n:,} documents": n for n in arguments.sizes}
    kind = KINDS[arguments.kind]
    engines = {name: Engine(partial(grown, kind, n)) for name, n in sizes.items()}
    result = compare(engines, arguments)
    if arguments.out is not None and find_spec("matplotlib") is not None:
        plot(result, sizes, arguments.kind, arguments.out.with_suffix(".png"))


def grown(kind: Kind, n: int, _: argparse.Namespace) -> Callable[[], Turn]:
    """Have another process build it; return what opens and searches it."""
    scratch = tempfile.TemporaryDirectory()
    folder = Path(scratch.name) / "index"
    took, _ = seconds(partial(in_a_fork, partial(build, kind, n, folder)))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    queries = kind.queries(N_QUERIES, 1_000_000)

    def turn(_: Any = scratch) -> Turn:  # noqa: ANN401 (the folder, kept as long as this)
        index = kind.index()
        opened, _ = seconds(lambda: load_tables(Kept(index), open_state(folder), "retriever"))
        each = [
            seconds(partial(index.search, queries[number : number + 1], K))[0]
            for number in range(N_QUERIES)
        ]
        figures = {"open, ms": opened * 1e3, "first query, ms": each[0] * 1e3}
        figures["a query, ms"] = float(np.mean(each[1:])) * 1e3
        return Turn({"build and save, s": took, "on disk, MB": size, **figures}, [])

    return turn


def build(kind: Kind, n: int, folder: Path) -> None:
    """Add documents in batches and save them; drawing them counts."""
    index = kind.index()
    for first in range(0, n, BATCH):
        index.add(kind.documents(min(BATCH, n - first), first))
    save_retriever(Kept(index), folder)


def in_a_fork(work: Callable[[], None]) -> None:
    """Do something in a process that has all that this one has."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("the process that builds ended early")


def plot(result: dict[str, Any], sizes: dict[str, int], kind: str, path: Path) -> None:
    """Draw time and memory against the number of documents."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for what in ("build and save, s", "open, ms", "a query, ms"):
        rows = [row for row in result["figures"] if row["figure"] == what]
        times.plot([sizes[row["engine"]] for row in rows], [row["median"] for row in rows], "o-")
    times.legend(["build and save, s", "open, ms", "a query, ms"])
    rows = [row for row in result["figures"] if row["figure"] == "on disk, MB"]
    documents = [sizes[row["engine"]] for row in rows]
    memory.plot(documents, [row["memory, MB"] for row in rows], "o-")
    memory.plot(documents, [row["median"] for row in rows], "o-")
    memory.legend(["most memory, MB, mapped files too", "on disk, MB"])
    for axes in (times, memory):
        axes.set(xscale="log", yscale="log", xlabel="documents", title=kind)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
