"""What one process deals out to shards: documents a second of its own processor time.

Usage: python benchmarks/dealing.py FILE [--shards 16] [--rounds 5]

FILE is read as `glane index --shards` reads it the second time, dealt out in blocks, and each block
is pickled, as it is when it goes to an actor.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import time

from glane.collection.dataset import FIELDS, document_rows
from glane_scale.building import blocks


def main() -> None:
    """Deal out, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="documents")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    found = [dealt(arguments.file, arguments.shards) for _ in range(arguments.rounds)]
    rates = [n_documents / seconds for n_documents, _, seconds in found]
    n_documents, n_bytes, _ = found[0]
    print(
        f"{n_documents} documents of {n_bytes / n_documents:,.0f} bytes: "
        f"{statistics.median(rates):,.0f} a second ({min(rates):,.0f} to {max(rates):,.0f})"
    )


def dealt(file: str, n_shards: int) -> tuple[int, int, float]:
    """Return how many documents and bytes were dealt out, and the seconds that it took."""
    start = time.process_time()
    n_documents = n_bytes = 0
    documents = (record for _, record in document_rows(file, "_id", FIELDS))
    for _, block in blocks(documents, n_shards, counted=False):
        n_documents += len(block.records)
        n_bytes += len(pickle.dumps(block))
    return n_documents, n_bytes, time.process_time() - start


if __name__ == "__main__":
    main()
