"""Documents and queries encoded by glane's int8 graph, and on torch by others, in turns.

Usage: python benchmarks/encoders.py MODEL CHECKPOINT BEIR [--documents 32] [--rounds 5]

MODEL was exported from CHECKPOINT, which is handed to PyLate and sentence-transformers here. All
get the same texts, cut after so many tokens that a document has 256 and a query 32, and keep
their own ways to batch. The answer is the ten best of these documents for each query by MaxSim:
int8 may change the order of what lies close together. sentence-transformers has no projection.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from turns import Engine, Turn, add_arguments, compare, seconds

from glane import ColBERT, read_beir
from glane.model.preparation import TextPreparer
from glane.types import Floats

DOCUMENT_TOKENS, QUERY_TOKENS = 256, 32

CALLS = 10
"""Queries of a turn, each a new one: glane remembers those it has encoded."""

K = 10

Encode = Callable[[list[str], bool], Sequence[Floats]]
"""Returns the token vectors of each text; the second says whether they are queries."""


def main() -> None:
    """Read the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("checkpoint")
    parser.add_argument("data")
    parser.add_argument("--documents", type=int, default=32)
    add_arguments(parser, rounds=5)
    compare(
        {
            "glane int8": Engine(by_glane),
            "PyLate": Engine(by_pylate, ("pylate",)),
            "sentence-transformers": Engine(by_transformer, ("sentence_transformers",)),
        },
        parser.parse_args(),
    )


def by_glane(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Encode with the exported model."""
    colbert = ColBERT.load(arguments.model, threads=arguments.threads)

    def encode(texts: list[str], query: bool) -> list[Floats]:
        vectors = (colbert.encode_queries if query else colbert.encode_documents)(texts)
        return np.split(vectors.values, vectors.offsets[1:-1])

    return turns(arguments, encode)


def by_pylate(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Encode with PyLate."""
    from pylate import models

    with tempfile.TemporaryDirectory() as folder:
        model = models.ColBERT(handed(arguments.checkpoint, folder), device="cpu")

    def encode(texts: list[str], query: bool) -> Any:  # noqa: ANN401 (of pylate)
        return model.encode(texts, is_query=query, show_progress_bar=False)

    return turns(arguments, encode)


def by_transformer(arguments: argparse.Namespace) -> Callable[[], Turn]:
    """Encode with sentence-transformers: the encoder alone, without a projection."""
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        made = handed(arguments.checkpoint, folder)
        (Path(made) / "modules.json").unlink()  # which names PyLate's; without it, it is an encoder
        model = SentenceTransformer(made, device="cpu")

    def encode(texts: list[str], _: bool) -> list[Floats]:
        rows = model.encode(texts, output_value="token_embeddings", show_progress_bar=False)
        return [row.numpy() / np.linalg.norm(row, axis=1, keepdims=True) for row in rows]

    return turns(arguments, encode)


def handed(checkpoint: str, folder: str) -> str:
    """Write a checkpoint as PyLate reads it, by another process; return where it is."""
    made = str(Path(folder) / "pylate")
    argv = [sys.executable, "-m", "glane", "save-as", "pylate", checkpoint, made]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return made


def turns(arguments: argparse.Namespace, encode: Encode) -> Callable[[], Turn]:
    """Return what encodes some documents at once, and queries one by one."""
    data = read_beir(arguments.data, "test")
    preparer = TextPreparer.load(arguments.model)
    texts = [*data.corpus.values()][: arguments.documents]
    cut_texts = [cut(preparer, text, DOCUMENT_TOKENS) for text in texts]
    asked = cycle(long_queries(preparer, [*data.queries.values()]))

    def turn() -> Turn:
        took, encoded = seconds(lambda: encode(cut_texts, False))
        each = [seconds(lambda: encode([next(asked)], True)) for _ in range(CALLS)]
        figures = {
            "a document, ms": took * 1e3 / len(texts),
            "a query of 32 tokens, ms": statistics.median(time for time, _ in each) * 1e3,
        }
        return Turn(figures, [ranking(query, encoded) for _, (query,) in each])

    return turn


def ranking(query: Floats, documents: Sequence[Floats]) -> list[int]:
    """Return which documents are best by MaxSim."""
    scores = [(np.asarray(query) @ np.asarray(row).T).max(1).sum() for row in documents]
    return np.argsort(-np.array(scores), kind="stable")[:K].tolist()


def long_queries(preparer: TextPreparer, queries: list[str]) -> list[str]:
    """Return as many queries as there are, each filled up with the next ones' words."""
    return [
        cut(preparer, " ".join((queries * 2)[number : number + 8]), QUERY_TOKENS)
        for number in range(len(queries))
    ]


def cut(preparer: TextPreparer, text: str, n_tokens: int) -> str:
    """Return the beginning of a text that has so many tokens, those around it among them."""
    words = text.split()
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        (row,) = preparer.tokenize([" ".join(words[:middle])], "document").rows
        low, high = (middle, high) if len(row) <= n_tokens else (low, middle - 1)
    return " ".join(words[:low])


if __name__ == "__main__":
    main()
