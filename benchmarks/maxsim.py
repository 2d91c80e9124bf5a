"""MaxSim of one query with stored documents: each kind of ours, numpy, torch and maxsim-cpu.

Usage: python benchmarks/maxsim.py [--documents 1000] [--tokens 180] [--dim 128]
           [--query-tokens 32] [--ragged] [--threads 1] [--rounds 15]

Vectors are random, of length 1. A turn takes the median of some calls, as the first one finds
another engine's vectors in the cache. Ragged documents are what maxsim-cpu has a second call for,
and what torch is given filled up with zeros to the longest. The overlap is of the best hundred.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from turns import Engine, Turn, add_arguments, compare, seconds

from glane.hits import best
from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.quantization import KINDS, CodeKind, encode
from glane.ragged import join_lengths
from glane.types import Floats, Scores
from glane.vectors import TokenVectors

CALLS = 5
"""Of a turn."""

K = 100


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=180, help="of a document, on average")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--query-tokens", type=int, default=32)
    parser.add_argument("--ragged", action="store_true", help="documents of 1 to 2 * tokens - 1")
    add_arguments(parser, rounds=15)
    engines = {
        **{f"glane {kind}": Engine(by_kernel(kind)) for kind in ("int8", "float32", *OTHERS)},
        "numpy": Engine(by_numpy),
        "torch": Engine(by_torch, ("torch",)),
        "maxsim-cpu": Engine(by_maxsim_cpu, ("maxsim_cpu",)),
    }
    compare(engines, parser.parse_args())


OTHERS = tuple(kind for kind in KINDS if kind != "int8")


def by_kernel(kind: str) -> Callable[[argparse.Namespace], Callable[[], Turn]]:
    """Return how glane starts, with documents of one kind."""

    def start(arguments: argparse.Namespace) -> Callable[[], Turn]:
        query, documents = vectors(arguments)
        stored = documents if kind == "float32" else encode(documents, as_kind(kind))
        return turn(lambda: maxsim_scores(query, stored, arguments.threads)[0])

    return start


def as_kind(name: str) -> CodeKind:
    """Return the kind of that name."""
    return next(kind for kind in KINDS if kind == name)


def by_numpy(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Multiply all at once, and reduce."""
    query, documents = vectors(arguments)

    def work() -> Scores:
        similarities = query.values @ documents.values.T
        tops = np.maximum.reduceat(similarities, documents.offsets[:-1], axis=1)
        return np.asarray(tops.sum(axis=0))

    return turn(work)


def by_torch(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Multiply as PyLate does: documents of one length, and a mask where they are not."""
    import torch

    query, documents = vectors(arguments)
    asked = torch.from_numpy(query.values)
    rows = [torch.from_numpy(row) for row in split(documents)]
    filled = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    blank = torch.arange(filled.shape[1])[None, None, :] >= lengths[:, None, None]

    def work() -> Scores:
        with torch.inference_mode():
            similarities = torch.einsum("sh,dth->dst", asked, filled)
            if arguments.ragged:
                similarities.masked_fill_(blank, -torch.inf)
            scores: Scores = similarities.amax(dim=2).sum(dim=1).numpy()
            return scores

    return turn(work)


def by_maxsim_cpu(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Call the one that takes documents of one length, or the one that takes any."""
    import maxsim_cpu

    query, documents = vectors(arguments)
    if arguments.ragged:
        rows = split(documents)
        return turn(lambda: maxsim_cpu.maxsim_scores_variable(query.values, rows))
    cube = documents.values.reshape(arguments.documents, arguments.tokens, arguments.dim)
    return turn(lambda: maxsim_cpu.maxsim_scores(query.values, cube))


def turn(work: Callable[[], Any]) -> Callable[[], Turn]:
    """Return what times some calls, and ranks by the scores."""

    def timed() -> Turn:
        took, scores = zip(*(seconds(work) for _ in range(CALLS)), strict=True)
        ids = np.arange(len(scores[0]))
        top = best(np.asarray(scores[0], np.float32), ids, K).tolist()
        return Turn({"a query, ms": statistics.median(took) * 1e3}, [top])

    return timed


def vectors(arguments: argparse.Namespace) -> tuple[TokenVectors, TokenVectors]:
    """Return a query and documents, the same in each process."""
    random = np.random.default_rng(0)
    lengths = [arguments.tokens] * arguments.documents
    if arguments.ragged:
        lengths = random.integers(1, 2 * arguments.tokens, arguments.documents).tolist()
    documents = unit(random, lengths, arguments.dim)
    return unit(random, [arguments.query_tokens], arguments.dim), documents


def unit(random: np.random.Generator, lengths: list[int], dim: int) -> TokenVectors:
    """Return random vectors of length 1."""
    values = random.standard_normal((sum(lengths), dim)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)


def split(documents: TokenVectors) -> list[Floats]:
    """Return the vectors of each document."""
    return np.split(documents.values, documents.offsets[1:-1])


if __name__ == "__main__":
    main()
