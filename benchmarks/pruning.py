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
from turns import overlap

from glane import Search, read_beir
from glane.evaluation.measures import ndcg, with_relevant

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
    judgements = with_relevant(dataset.judgements)
    ids = list(judgements)[: arguments.queries]
    for fuse in ("none", "relative"):
        option = {"fuse": fuse, "candidates": arguments.candidates}
        found: dict[int | None, list[tuple[list[str], float]]] = {size: [] for size in sizes}
        for id in ids:
            for size in sizes:
                found[size].append(asked(search, dataset.queries[id], prune=size, **option))
        print(f"fuse {fuse}, {arguments.candidates} candidates, {len(ids)} queries")
        for size in sizes:
            keys, times = zip(*found[size], strict=True)
            same = overlap([own for own, _ in found[None]], keys)
            quality = np.mean(
                [ndcg(own, judgements[id]) for id, own in zip(ids, keys, strict=True)]
            )
            print(
                f"  prune {size or 'none':>4}: rerank {np.median(times):.2f} ms, "
                f"overlap {same:.4f}, NDCG@{K} {quality:.4f}"
            )


def asked(search: Search, query: str, **option: Any) -> tuple[list[str], float]:  # noqa: ANN401
    """Return the hits of a query, and the milliseconds that reranking took."""
    results = search.search([query], K, timings=True, **option)
    return results.ids[0], results.timings["rerank"]


if __name__ == "__main__":
    main()
