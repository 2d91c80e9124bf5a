"""Token vectors: what each stored kind costs in quality, and what choosing candidates saves.

Usage: taskset -c 0 python benchmarks/token_vectors.py MODEL BEIR_FOLDER CACHE
           [--split test] [--queries 300] [--table kinds|candidates]

The documents are encoded once and kept in the folder CACHE (`offsets.npy`, `values.npy`, float16),
which may be one that was written before. All is compared with exact MaxSim over float16 vectors
of every token.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glane.collection.dataset import Dataset, read_beir
from glane.evaluation.measures import evaluate
from glane.hits import Hits, Results
from glane.maxsim import index as maxsim
from glane.maxsim.index import MaxSimIndex, TokenStorage
from glane.maxsim.pooling import pool
from glane.maxsim.quantization import KINDS, TokenCodes
from glane.retrievers.colbert import ColBERT
from glane.threads import available_threads
from glane.types import Scores
from glane.vectors import TokenVectors

K = 100

OUTLINED = TokenStorage(kind="float16", outlines=True)
"""Candidates are scored as exactly as all documents are, so that a hit that differs was missed."""


def main() -> None:
    """Encode what is not encoded yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--table", choices=["kinds", "candidates"])
    arguments = parser.parse_args()
    data = first(read_beir(arguments.data, arguments.split), arguments.queries)
    colbert = ColBERT.load(arguments.model)
    documents = encoded(colbert, data, arguments.cache)
    queries = colbert.encode_queries([*data.queries.values()])
    n_tokens = int(documents.offsets[-1])
    print(f"{arguments.data} {arguments.split}: {len(documents)} documents, {n_tokens} tokens of")
    print(f"{documents.dim} dimensions; {len(queries)} queries, {len(queries.values)} tokens;")
    print(f"{available_threads()} threads, numpy {np.__version__}, {platform.machine()}")
    exact = filled(MaxSimIndex(documents.dim, TokenStorage(kind="float16")), documents)
    exactly = searched(exact, queries, K)
    if arguments.table != "candidates":
        show_kinds(data, documents, queries, exactly.hits)
    if arguments.table != "kinds":
        show_candidates(documents, queries, exactly)


def first(data: Dataset, n: int) -> Dataset:
    """Return a collection with the first n of its queries."""
    queries = dict(list(data.queries.items())[:n])
    return Dataset(data.corpus, queries, {id: data.judgements[id] for id in queries})


def encoded(colbert: ColBERT, data: Dataset, cache: Path) -> TokenVectors:
    """Return the documents' vectors from the cache, which is filled first where it is empty."""
    if not (cache / "values.npy").exists():
        colbert.encode_documents([*data.corpus.values()], progress=True).half().save(cache)
    vectors = TokenVectors.load(cache)
    if len(vectors) != len(data.corpus):
        raise SystemExit(f"{cache} holds {len(vectors)} documents, not {len(data.corpus)}")
    return vectors


def filled(index: MaxSimIndex, documents: TokenVectors) -> MaxSimIndex:
    """Add the documents, and tell the time a document takes."""
    start = time.perf_counter()
    index.add(documents)
    milliseconds = (time.perf_counter() - start) * 1e3 / len(documents)
    print(f"{index.storage}: {milliseconds:.2f} ms to add a document", flush=True)
    return index


class Searched(NamedTuple):
    """What a search over all queries, one at a time, returns and costs.

    Attributes:
        hits: One row a query.
        seconds: Median over the queries, by the clock.
        processor_seconds: Likewise, of the processor: the same where nothing else runs.
        products: Dot products of a query's and a document's vector, over all queries.
    """

    hits: Hits
    seconds: float
    processor_seconds: float
    products: int


def searched(index: MaxSimIndex, queries: TokenVectors, k: int) -> Searched:
    """Search one query at a time."""
    rows, clock, processor = [], [], []
    with counting() as counts:
        for number in range(len(queries)):
            start, start_processor = time.perf_counter(), time.process_time()
            rows.append(index.search(queries[number : number + 1], k))
            clock.append(time.perf_counter() - start)
            processor.append(time.process_time() - start_processor)
    hits = Hits(np.concatenate([row.ids for row in rows]), np.concatenate([r.scores for r in rows]))
    return Searched(hits, statistics.median(clock), statistics.median(processor), counts.products)


@dataclass
class Counts:
    """Dot products of a token of a query with a vector of a document."""

    products: int = 0


@contextmanager
def counting() -> Iterator[Counts]:
    """Count the dot products where they are made."""
    counts, kernel = Counts(), maxsim.maxsim_scores

    def counted(queries: TokenVectors, documents: TokenCodes, threads: int | None) -> Scores:
        counts.products += len(queries.values) * int(documents.offsets[-1])
        return kernel(queries, documents, threads)

    maxsim.maxsim_scores = counted
    try:
        yield counts
    finally:
        maxsim.maxsim_scores = kernel


def show_kinds(
    data: Dataset, documents: TokenVectors, queries: TokenVectors, reference: Hits
) -> None:
    """Print what each kind, and each pooling, keeps of the exact ranking."""
    print("| kind | pool | bytes a token | NDCG@10 | overlap of top 10 | of top 100 in 200 |")
    print("|---|---|---|---|---|---|")
    for factor, kind in product((1, 2, 3, 4), KINDS):
        if kind == KINDS[0]:
            pooled = pool(documents, factor)
        index = MaxSimIndex(documents.dim, TokenStorage(kind=kind))
        index.add(pooled)
        size = n_bytes(index, "tokens") / len(documents.values)
        hits = searched(index, queries, 2 * K).hits
        print(
            f"| {kind} | {factor} | {size:.0f} | {ndcg(data, hits):.4f} "
            f"| {found(reference, 10, hits, 10):.3f} | {found(reference, K, hits, 2 * K):.4f} |",
            flush=True,
        )


def show_candidates(documents: TokenVectors, queries: TokenVectors, exactly: Searched) -> None:
    """Print what choosing candidates finds of the exact ranking, and what it saves."""
    index = filled(MaxSimIndex(documents.dim, OUTLINED), documents)
    chosen = searched(index, queries, K)
    size = n_bytes(index, "outline")
    for k in (10, K):
        print(f"recall@{k} of the exact ranking {found(exactly.hits, k, chosen.hits, k):.4f}")
    print(f"share of the dot products {chosen.products / exactly.products:.4f}, no table look-ups")
    for name, before, after in (
        ("clock", exactly.seconds, chosen.seconds),
        ("processor", exactly.processor_seconds, chosen.processor_seconds),
    ):
        print(
            f"a query, {name}: {after * 1e3:.1f} ms, exact {before * 1e3:.1f} ms, "
            f"{before / after:.1f} times"
        )
    print(f"bytes of outlines a document {size / len(documents):.0f}")


def n_bytes(index: MaxSimIndex, group: str) -> int:
    """Return the size of stored vectors, without the offsets."""
    return sum(
        array.nbytes
        for part in index.rows.parts
        for name, array in part.arrays.items()
        if name.startswith(group) and not name.endswith("offsets")
    )


def found(reference: Hits, k: int, hits: Hits, depth: int) -> float:
    """Return the mean share of the first k of the exact ranking in the first of another."""
    pairs = zip(reference.ids[:, :k], hits.ids[:, :depth], strict=True)
    return float(np.mean([np.isin(one, other).mean() for one, other in pairs]))


def ndcg(data: Dataset, hits: Hits) -> float:
    """Return NDCG@10 of hits, one row a query."""
    keys = [*data.corpus]
    rows = {query: hits.row(row)[0] for row, query in enumerate(data.queries.values())}

    def answer(query: str, k: int) -> Results:
        return Results([[keys[id] for id in rows[query][:k]]], [[0.0] * k])

    return evaluate(answer, data, ["ndcg@10"]).metrics["ndcg@10"]


if __name__ == "__main__":
    main()
