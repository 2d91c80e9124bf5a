"""What a filter costs: queries with one that leaves 1 % and 50 %, in turns with none.

Usage: python benchmarks/filters.py [--documents 200000] [--queries 50] [--rounds 5]

Documents are synthetic, words by Zipf's law: of BM25 40 words each, of Splade 100 terms with random
weights (its index alone; what a filter does there is the same). Each figure is the median over
rounds of the mean milliseconds a query, and the ratio to no filter in the same round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from glane import BM25, Search
from glane.collection.where import read_filter
from glane.postings.postings import Postings, weigh_as_it_is
from glane.store.values import Values
from glane.types import Mask
from glane.vectors import SparseVectors

FILTERS = {"1 %": "n < 10", "50 %": "n < 500"}
AT_ONCE = 20_000


def main() -> None:
    """Make both indexes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    numbers = random.integers(0, 1000, arguments.documents).tolist()
    print("| retriever | filter leaves | ms a query | ratio to none, median (lowest to highest) |")
    print("|---|---|---|---|")
    table("BM25", words(random, numbers, arguments), arguments)
    table("Splade", terms(random, numbers, arguments), arguments)


def words(
    random: np.random.Generator, numbers: list[int], arguments: argparse.Namespace
) -> Callable[[str | None], Any]:
    """Return what searches an index of words with a filter."""
    search = Search(BM25(), fields={"n": "int"})
    for start in range(0, len(numbers), AT_ONCE):
        own = numbers[start : start + AT_ONCE]
        drawn = random.zipf(1.3, (len(own), 40)) % 50_000
        search.add(
            [
                {"id": start + row, "text": " ".join(f"w{word}" for word in drawn[row]), "n": n}
                for row, n in enumerate(own)
            ]
        )
    drawn = random.zipf(1.3, (arguments.queries, 6)) % 50_000
    queries = [" ".join(f"w{word}" for word in row) for row in drawn]
    return lambda where: [search.search([query], k=10, filter=where) for query in queries]


def terms(
    random: np.random.Generator, numbers: list[int], arguments: argparse.Namespace
) -> Callable[[str | None], Any]:
    """Return what searches an index of weighed terms with a filter."""
    index, values = Postings(weigh_as_it_is), Values({"n": "int"})
    for start in range(0, len(numbers), AT_ONCE):
        own = numbers[start : start + AT_ONCE]
        index.add(sparse(random, len(own), 100))
        values.add(values.encode([{"n": n} for n in own]), np.arange(len(own)))
    queries = sparse(random, arguments.queries, 20)

    def run(where: str | None) -> None:
        for row in range(len(queries)):
            within = None if where is None else kept(where, values)
            index.search(queries[row : row + 1], 10, within)

    return run


def kept(where: str, values: Values) -> Mask:
    """Return what a filter leaves, as a search does."""
    condition = read_filter(where)
    return values.remembered(repr(condition), lambda: condition.kept(values))


def sparse(random: np.random.Generator, n_rows: int, n_terms: int) -> SparseVectors:
    """Return rows of different terms with random weights."""
    rows = [np.unique(random.zipf(1.2, n_terms) % 30_000) for _ in range(n_rows)]
    lengths = [len(row) for row in rows]
    weights = random.random(sum(lengths), np.float32) + np.float32(0.01)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return SparseVectors(indptr, np.concatenate(rows).astype(np.int32), weights)


def table(name: str, run: Callable[[str | None], Any], arguments: argparse.Namespace) -> None:
    """Print a row for each filter, measured in turns with none."""
    run(None)  # weights are made at first use
    figures: dict[str, list[float]] = {"none": [], **{leaves: [] for leaves in FILTERS}}
    for _ in range(arguments.rounds):
        for leaves in figures:
            began = time.process_time()
            run(FILTERS.get(leaves))
            figures[leaves].append(1e3 * (time.process_time() - began) / arguments.queries)
    for leaves, found in figures.items():
        ratios = sorted(own / none for own, none in zip(found, figures["none"], strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {name} | {leaves} | {statistics.median(found):.2f} | {spread} |")


if __name__ == "__main__":
    main()
