"""How fast this machine is at what a search takes its time for, in half a second each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from glane.maxsim.kernel import maxsim_scores
from glane.maxsim.quantization import encode_int8
from glane.model.checkpoint import Checkpoint
from glane.ragged import join_lengths
from glane.retrievers.registry import NEURAL
from glane.vectors import TokenVectors

SECONDS = 0.5

N_DOCUMENTS, N_TOKENS, N_QUERY_TOKENS, DIM = 100, 180, 32, 128
"""What a reranker usually scores for one query."""

TEXT = "plants turn light into sugar and all rivers run to the sea where they end " * 4

N_TEXTS = 8


def maxsim_speed(threads: int | None, seconds: float = SECONDS) -> dict[str, Any]:
    """Return how long MaxSim on int8 takes for one query with a hundred documents.

    Args:
        threads: Threads to compute with; by default what the process may use.
        seconds: How long is measured, at least.
    """
    random = np.random.default_rng(0)
    query = _unit(random, [N_QUERY_TOKENS])
    documents = encode_int8(_unit(random, [N_TOKENS] * N_DOCUMENTS))
    each = _seconds_of(lambda: maxsim_scores(query, documents, threads), seconds)
    return {
        "n_documents": N_DOCUMENTS,
        "n_tokens": N_TOKENS,
        "n_query_tokens": N_QUERY_TOKENS,
        "dim": DIM,
        "milliseconds": round(each * 1e3, 3),
    }


def encoding_speed(model: str, threads: int | None, seconds: float = SECONDS) -> dict[str, Any]:
    """Return how many documents and queries of a model are encoded a second.

    Args:
        model: Folder written by `glane export`.
        threads: Threads to compute with; by default what the process may use.
        seconds: How long each is measured, at least.

    Raises:
        CheckpointError: If the folder holds no model that can be run.
    """
    loaded = NEURAL[Checkpoint.read(model).kind].load(model, threads=threads)
    texts = [TEXT] * N_TEXTS
    query = [" ".join(TEXT.split()[:8])]
    of_documents = _seconds_of(lambda: loaded.encode_documents(texts), seconds)
    of_query = _seconds_of(lambda: loaded.encode_queries(query), seconds)
    return {
        "model": model,
        "n_words": len(TEXT.split()),
        "documents_per_second": round(N_TEXTS / of_documents, 1),
        "query_milliseconds": round(of_query * 1e3, 2),
    }


def _seconds_of(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of one call, on average over those that fit; a first one is not counted.

    The first loads what is needed.
    """
    work()
    began, n_calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds or not n_calls:
        work()
        n_calls += 1
    return passed / n_calls


def _unit(random: np.random.Generator, lengths: list[int]) -> TokenVectors:
    """Return random vectors of length 1."""
    values = random.standard_normal((sum(lengths), DIM)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return TokenVectors(join_lengths(lengths), values)
