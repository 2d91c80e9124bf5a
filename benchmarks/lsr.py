"""Searches embeddings of lsr-benchmark with glane's inverted index, and writes its run.

Usage: python benchmarks/lsr.py --embedding FOLDER --output FOLDER [--k 10]

Written for lsr-benchmark 0.1.1 (https://github.com/reneuir/lsr-benchmark). `--embedding` is what
`lsr-benchmark download-embeddings --dataset DATASET --embedding MODEL --out FOLDER` leaves: in its
folders `doc` and `query` the ids, a line each, and the rows of a sparse matrix. As its engines do,
this writes `run.txt.gz`, and where `tirex_tracker` is installed what indexing and searching took,
which `lsr-benchmark evaluate` reads: `index-metadata.yml` and `retrieval-metadata.yml`.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from turns import seconds

from glane.commands.run_file import falling
from glane.hits import Hits
from glane.postings.postings import Postings, weigh_as_it_is
from glane.vectors import SparseVectors


def main() -> None:
    """Read, index, search and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedding", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--k", type=int, default=10, help="documents a query, default %(default)s")
    arguments = parser.parse_args()
    (names, query_names), (documents, queries) = read(arguments.embedding)
    arguments.output.mkdir(parents=True, exist_ok=True)
    index = Postings(weigh_as_it_is)
    with tracked(arguments.output / "index-metadata.yml"):
        built, _ = seconds(lambda: index.add(documents))
    with tracked(arguments.output / "retrieval-metadata.yml"):
        searched, hits = seconds(lambda: index.search(queries, arguments.k))
    with gzip.open(arguments.output / "run.txt.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines(query_names, names, hits))
    print(f"{len(documents):,} documents indexed in {built:.3g} s", end="; ")
    print(f"{len(queries):,} queries in {searched:.3g} s")


def read(folder: Path) -> tuple[list[list[str]], list[SparseVectors]]:
    """Return ids and vectors of the documents and of the queries.

    Terms may be numbers or words there; here both sides have the same numbers for them.
    """
    kinds = ("doc", "query")
    names = [(folder / kind / f"{kind}-ids.txt").read_text("utf-8").split("\n") for kind in kinds]
    arrays = [np.load(folder / kind / f"{kind}-embeddings.npz") for kind in kinds]
    terms = [array["indices"] for array in arrays]
    _, numbers = np.unique(np.concatenate(terms), return_inverse=True)
    parts = np.split(numbers, [len(terms[0])])
    vectors = [
        SparseVectors(array["indptr"], part, array["data"])
        for array, part in zip(arrays, parts, strict=True)
    ]
    return [[name for name in each if name] for each in names], vectors


def tracked(file: Path) -> AbstractContextManager[Any]:
    """Return what measures a block and writes it, where that is installed."""
    if find_spec("tirex_tracker") is None:
        return nullcontext()
    from tirex_tracker import ExportFormat, tracking

    measured: AbstractContextManager[Any] = tracking(
        export_file_path=file, export_format=ExportFormat.IR_METADATA
    )
    return measured


def lines(queries: list[str], names: list[str], hits: Hits) -> Iterable[str]:
    """Return the lines of a run, equal scores lowered so that readers keep the order."""
    for query, ids, scores in zip(queries, hits.ids, hits.scores, strict=True):
        found = ids >= 0
        fallen, _ = falling(scores[found].tolist())
        for rank, (id, score) in enumerate(zip(ids[found], fallen, strict=True), 1):
            yield f"{query} Q0 {names[id]} {rank} {score!s} glane\n"


if __name__ == "__main__":
    main()
