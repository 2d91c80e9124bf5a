"""What a collection of some size needs, and how long the slowest of its shards takes.

Usage: python benchmarks/scaling.py table [--tokens 230] [--dim 128] [--price 0.05]
       python benchmarks/scaling.py tail [--median 17.3] [--p95 27.8] [--shards 1 4 16 64 256]

`table` multiplies what `results/` says of one document (BM25 of a million documents, encoding) by a
number of documents: nothing is run. `tail` simulates queries that ask all shards and wait for the
last. A shard's time is lognormal, with the median and 95th percentile given; one answer in a
hundred takes ten times as long (a pause, a disk, a neighbour). Hedged, a second replica is asked
too once a shard has taken longer than the 95th percentile, and the first answer counts. Nobody
queues: it is what a cluster does that has room.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"

DOCUMENTS = [10**power for power in range(3, 11)]

SHARD = 1_000_000
"""Documents of a shard: BM25 then takes about 20 ms a query, see `growth-bm25`."""

STRAGGLERS, SLOWER = 0.01, 10.0
"""Share of answers that take longer, and how many times as long."""

QUANTILES = (0.5, 0.95, 0.99)


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    table = kinds.add_parser("table")
    table.add_argument("--tokens", type=int, default=230, help="of a document")
    table.add_argument("--dim", type=int, default=128, help="of a token vector, of int8")
    table.add_argument("--price", type=float, default=0.05, help="of a core for an hour")
    table.set_defaults(show=needs)
    tail = kinds.add_parser("tail")
    tail.add_argument("--median", type=float, default=17.3, help="of a shard's answer, ms")
    tail.add_argument("--p95", type=float, default=27.8, help="likewise")
    tail.add_argument("--shards", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    tail.add_argument("--queries", type=int, default=20_000)
    tail.set_defaults(show=tails)
    arguments = parser.parse_args()
    print("\n".join(arguments.show(arguments)))


def needs(arguments: argparse.Namespace) -> list[str]:
    """Return a row for each number of documents."""
    words = figure("growth-bm25", "on disk, MB", "1,000,000 documents")  # bytes of one
    encode = figure("encode", "a document, ms", "glane int8", "lowest") / 1e3
    vectors = arguments.tokens * (arguments.dim + 2)
    lines = [
        f"a document: {words:,.0f} bytes of BM25 and its fields, {vectors:,} of token vectors "
        f"({arguments.tokens} of {arguments.dim} int8), {encode * 1e3:.0f} ms of a core to encode",
        "",
        "| documents | BM25, on disk | token vectors | core hours to encode | price | shards |",
        "|---|---|---|---|---|---|",
    ]
    for number in DOCUMENTS:
        hours = number * encode / 3600
        shards = math.ceil(number / SHARD)
        cells = [sized(number * words), sized(number * vectors), f"{hours:,.2f}"]
        lines.append(
            f"| {number:,} | {' | '.join(cells)} | {hours * arguments.price:,.2f} | {shards:,} |"
        )
    return lines


def tails(arguments: argparse.Namespace) -> list[str]:
    """Return a row for each number of shards: quantiles of the slowest, plain and hedged."""
    draw = np.random.default_rng(0)
    head = [f"{'hedged ' * hedged}p{100 * q:.0f}" for hedged in (0, 1) for q in QUANTILES]
    lines = [f"| shards | {' | '.join(head)} | asked twice |", "|---" * (len(head) + 2) + "|"]
    for shards in arguments.shards:
        first = times(draw, (arguments.queries, shards), arguments.median, arguments.p95)
        second = arguments.p95 + times(draw, first.shape, arguments.median, arguments.p95)
        late = first > arguments.p95
        hedged = np.where(late, np.minimum(first, second), first)
        cells = [
            f"{value:.0f}"
            for own in (first, hedged)
            for value in np.quantile(own.max(axis=1), QUANTILES)
        ]
        lines.append(f"| {shards} | {' | '.join(cells)} | {late.mean():.1%} |")
    return lines


def times(
    draw: np.random.Generator, shape: tuple[int, ...], median: float, p95: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return what shards take: lognormal, and a share of them longer."""
    spread = math.log(p95 / median) / 1.6449  # of the normal distribution, at 95 in 100
    plain = draw.lognormal(math.log(median), spread, shape)
    return plain * np.where(draw.random(shape) < STRAGGLERS, SLOWER, 1.0)


def figure(row: str, name: str, engine: str, part: str = "median") -> float:
    """Return a figure of `results/`."""
    figures = json.loads((RESULTS / f"{row}.json").read_text(encoding="utf-8"))["figures"]
    found = [own for own in figures if (own["figure"], own["engine"]) == (name, engine)]
    return float(found[0][part])


def sized(n_bytes: float) -> str:
    """Return bytes for people."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.1f} PB"


if __name__ == "__main__":
    main()
