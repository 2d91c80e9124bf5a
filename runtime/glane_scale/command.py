"""`glane shard`: part an index in shards, for machines that search it together."""

from __future__ import annotations

import argparse
import time
from typing import Any

from glane.commands.usage import Bounded
from glane_scale.sharded import part_index


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument("folder", metavar="FOLDER", help="folder to write, new or empty")
    parser.add_argument(
        "--shards",
        type=int,
        action=Bounded,
        least=1,
        required=True,
        metavar="N",
        help="how many, each an index with its part of the documents and copies of the models",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the shards; nothing is encoded anew."""
    start = time.perf_counter()
    counts = part_index(arguments.index, arguments.folder, arguments.shards)
    return {
        "index": arguments.index,
        "folder": arguments.folder,
        "n_documents": counts,
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    counts = result["n_documents"]
    each = f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{counts[0]:,}"
    return (
        f"parted {sum(counts):,} documents in {len(counts)} shards of {each} in "
        f"{result['seconds']:.1f} s; serve them: glane serve {result['folder']} --ray ADDRESS"
    )
