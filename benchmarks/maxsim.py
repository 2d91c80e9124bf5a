"""MaxSim of one query with stored documents: each kind, and the product that numpy would make.

Usage: python benchmarks/maxsim.py [--documents 1000] [--tokens 180] [--dim 128]
           [--query-tokens 32] [--ragged] [--threads 1] [--rounds 15]

Vectors are random, of length 1. All rows are timed in turns; the first turn is not counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.quantization import KINDS, encode
from glane.ragged import join_lengths
from glane.types import Scores
from glane.vectors import TokenVectors


def main() -> None:
    """Print the median and the least time of each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=180, help="of a document, on average")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--query-tokens", type=int, default=32)
    parser.add_argument("--ragged", action="store_true", help="documents of 1 to 2 * tokens - 1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    lengths = [arguments.tokens] * arguments.documents
    if arguments.ragged:
        lengths = random.integers(1, 2 * arguments.tokens, arguments.documents).tolist()
    documents = unit(random, lengths, arguments.dim)
    query = unit(random, [arguments.query_tokens], arguments.dim)
    print(f"{arguments.documents} documents, {len(documents.values)} tokens of {arguments.dim}")
    print(f"dimensions, {arguments.threads} threads, numpy {np.__version__}, {platform.machine()}")
    for name, times in timed(rows(query, documents, arguments.threads), arguments.rounds).items():
        median, least = statistics.median(times) * 1e3, min(times) * 1e3
        print(f"| {name} | {median:.1f} ms | {least:.1f} ms |")


def unit(random: np.random.Generator, lengths: list[int], dim: int) -> TokenVectors:
    """Return random vectors of length 1."""
    values = random.standard_normal((sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def rows(
    query: TokenVectors, documents: TokenVectors, threads: int
) -> dict[str, Callable[[], Scores]]:
    """Return what is timed; numpy's threads are those that `OPENBLAS_NUM_THREADS` says."""

    def by_numpy() -> Scores:
        similarities = query.values @ documents.values.T
        best = np.maximum.reduceat(similarities, documents.offsets[:-1], axis=1)
        return np.asarray(best.sum(axis=0))

    def by_kernel(kind: str) -> Callable[[], Scores]:
        stored = documents if kind == "float32" else encode(documents, kind)  # type: ignore[arg-type]
        return lambda: maxsim_scores(query, stored, threads)

    numpy_threads = os.environ.get("OPENBLAS_NUM_THREADS", "all")
    return {
        **{kind: by_kernel(kind) for kind in (*KINDS, "float32")},
        f"numpy, float32, {numpy_threads} threads": by_numpy,
    }


def timed(functions: dict[str, Callable[[], Scores]], n_rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call of each function, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(n_rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
