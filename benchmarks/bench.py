"""Every comparison with other libraries, by name: lists the rows, or runs some of them or all.

Usage: python benchmarks/bench.py [ROW ...] [--data BEIR] [--model MODEL] [--checkpoint CHECKPOINT]
           [--out benchmarks/results] [--small]
       python benchmarks/bench.py --list

A row is a command of a program beside this one, which can be run alone; it prints its table and
writes ROW.json, and `growth` ROW.png too. A row whose data or model is not given is told and left
out; a library that is not installed is told in its row. `--small` runs each on a tiny size.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Row(NamedTuple):
    """A comparison: the arguments of its program, and those that make it small.

    Words in capitals stand for what is given: DATA, MODEL, CHECKPOINT.
    """

    what: str
    command: str
    small: str


ROWS = {
    "maxsim": Row(
        "a query of 32 tokens, 1,000 documents of 180, 128 dimensions",
        "maxsim.py",
        "--documents 5 --tokens 7 --rounds 1",
    ),
    "maxsim-ragged": Row(
        "as maxsim, but documents of 1 to 359 tokens",
        "maxsim.py --ragged",
        "--documents 5 --tokens 7 --rounds 1",
    ),
    "bm25-query": Row("queries of a collection, the 100 best", "bm25.py DATA", "--rounds 1"),
    "bm25-synthetic": Row(
        "queries of 8 words, 500,000 documents of 100",
        "bm25.py --synthetic 500000 --rounds 3",
        "--synthetic 300 --terms 2000 --rounds 1",
    ),
    "bm25-index": Row(
        "cutting, stemming and indexing a collection", "bm25.py DATA --index", "--rounds 1"
    ),
    "sparse": Row(
        "the exact best of SPLADE-like vectors",
        "sparse.py",
        "--documents 300 --queries 3 --rounds 1",
    ),
    "encode": Row(
        "documents of 256 tokens and queries of 32",
        "encoders.py MODEL CHECKPOINT DATA",
        "--documents 3 --rounds 1",
    ),
    "query": Row(
        "a whole query: encode, BM25, rerank 100, fuse",
        "whole_query.py MODEL DATA",
        "--documents 20 --queries 2 --rounds 1",
    ),
    "start": Row(
        "from the start of a process to its first answer",
        "starting.py DATA MODEL --checkpoint CHECKPOINT",
        "--documents 20 --rounds 1",
    ),
    **{
        f"growth-{kind}": Row(
            f"{kind} at several sizes", f"growth.py {kind}", "--sizes 30 100 --rounds 1"
        )
        for kind in ("bm25", "splade", "colbert")
    },
}


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--data", help="BEIR folder")
    parser.add_argument("--model", help="exported ColBERT")
    parser.add_argument("--checkpoint", help="of which MODEL was exported")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="default %(default)s")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try whether it runs")
    parser.add_argument("--list", action="store_true", help="tell the rows, and run none")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"unknown rows {unknown}; there are {[*ROWS]}")
    failed = [name for name in arguments.rows or ROWS if not done(name, arguments)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def done(name: str, arguments: argparse.Namespace) -> bool:
    """Tell a row and run it where that is wanted and can be; return False if it failed."""
    row = ROWS[name]
    print(f"## {name}: {row.what}\n", flush=True)
    given = {"DATA": arguments.data, "MODEL": arguments.model, "CHECKPOINT": arguments.checkpoint}
    words = [*shlex.split(row.command), *(shlex.split(row.small) if arguments.small else ())]
    lacking = [f"--{word.lower()}" for word in words if word in given and given[word] is None]
    if arguments.list:
        print(f"`python benchmarks/{row.command}`\n")
        return True
    if lacking:
        print(f"left out: give {' and '.join(lacking)}\n")
        return True
    program, *rest = (given.get(word) or word for word in words)
    argv = [sys.executable, str(HERE / program), *rest, "--out", arguments.out / f"{name}.json"]
    status = subprocess.run(argv, check=False).returncode
    print()
    return status == 0


if __name__ == "__main__":
    main()
