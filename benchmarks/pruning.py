"""What early exit of the reranker saves and misses: `prune` of several sizes against none.

Usage: python benchmarks/pruning.py INDEX BEIR SPLIT [--queries 300] [--candidates 100]
           [--sizes 10 20 33 50]

INDEX holds the documents of BEIR and has a reranker. Each query is searched with every size in
turn, on one thread. A row: the median time of the stage that reranks, the share of the 10 best
that a search without `prune` has too, and the mean NDCG@10, for the reranker alone and fused.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from glane import Search, read_beir

K = 10


def main() -> None:
    """Search with every size in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index")
    parser.add_argument("data")
    parser.add_argument("split")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 33, 50])
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data, arguments.split)
    search = Search.load(arguments.index, threads=1)
    if search.reranker is None:
        parser.error(f"{arguments.index!r} has no reranker")
    sizes = [None, *arguments.sizes]
    ids = list(dataset.judgements)[: arguments.queries]
    for fuse in ("none", "relative"):
        option = {"fuse": fuse, "candidates": arguments.candidates}
        found: dict[int | None, list[tuple[list[str], float]]] = {size: [] for size in sizes}
        for id in ids:
            for size in sizes:
                found[size].append(asked(search, dataset.queries[id], prune=size, **option))
        print(f"fuse {fuse}, {arguments.candidates} candidates, {len(ids)} queries")
        for size in sizes:
            keys, times = zip(*found[size], strict=True)
            whole = [set(own) for own, _ in found[None]]
            overlap = np.mean(
                [len(own & set(key)) / K for own, key in zip(whole, keys, strict=True)]
            )
            quality = np.mean(
                [ndcg(own, dataset.judgements[id]) for id, own in zip(ids, keys, strict=True)]
            )
            print(
                f"  prune {size or 'none':>4}: rerank {np.median(times):.2f} ms, "
                f"overlap {overlap:.4f}, NDCG@{K} {quality:.4f}"
            )


def asked(search: Search, query: str, **option: Any) -> tuple[list[str], float]:  # noqa: ANN401
    """Return the hits of a query, and the milliseconds that reranking took."""
    results = search.search([query], K, timings=True, **option)
    return results.ids[0], results.timings["rerank"]


def ndcg(keys: list[str], grades: dict[str, int]) -> float:
    """Return NDCG@10 of a ranking, the gain of a document being its grade."""
    discount = 1 / np.log2(np.arange(2, K + 2))
    best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:K]
    gains = np.array([max(grades.get(key, 0), 0) for key in keys])
    return float(gains @ discount[: len(gains)] / (np.array(best) @ discount[: len(best)] or 1))


if __name__ == "__main__":
    main()
