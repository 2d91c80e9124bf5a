"""Token vectors of texts by three roads: torch, a bare ONNX session, and the runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from tqdm import tqdm

import glane_trainer
from glane import ColBERT
from glane.encoder import load_session, run
from glane.text import Batch, Role, TextPreparer
from glane.threads import check_threads
from glane.types import Floats

Item = TypeVar("Item")

ROLES: tuple[Role, ...] = ("query", "document")

MIXED = 8
"""Texts in a batch of mixed lengths."""


class Probe(NamedTuple):
    """A text in the role it is encoded in."""

    role: Role
    text: str

    def __str__(self) -> str:
        """Return the role and the text, cut."""
        shown = repr(self.text)
        return f"{self.role} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def by_torch(model: glane_trainer.ColBERT, probes: Sequence[Probe]) -> list[Floats]:
    """Return the vectors that count of each text, shape (n_tokens, dim), encoded alone."""
    vectors = []
    with torch.inference_mode():
        for probe in _bar(probes, "torch"):
            batch = model.preparer.encode([probe.text], probe.role)
            vectors += _counted(batch, model.vectors(batch)[0].cpu().numpy())
    return vectors


def by_session(
    folder: Path, probes: Sequence[Probe], n_texts: int, threads: int | None = None
) -> list[Floats]:
    """Return the vectors that count, encoded in batches of neighbours of one role.

    Args:
        folder: A model folder; its `model.json` is not read.
        probes: The texts; neighbours of one role share a batch whatever their lengths.
        n_texts: Texts in a batch, at least 1.
        threads: Threads to compute with; by default what the process may use.
    """
    preparer = TextPreparer.load(folder)
    session = load_session(folder / "model.onnx", check_threads(threads))
    vectors: list[Floats] = [np.empty(0, np.float32)] * len(probes)
    for rows in _bar(_groups(probes, n_texts), f"onnx, {n_texts} at once"):
        batch = preparer.encode([probes[row].text for row in rows], probes[rows[0]].role)
        for row, values in zip(rows, _counted(batch, run(session, batch)[0]), strict=True):
            vectors[row] = values
    return vectors


def by_runtime(folder: Path, probes: Sequence[Probe], threads: int | None = None) -> list[Floats]:
    """Return the vectors that `glane.ColBERT` gives: what a user gets."""
    colbert = ColBERT.load(folder, threads=threads)
    encode = {"query": colbert.encode_queries, "document": colbert.encode_documents}
    vectors: list[Floats] = [np.empty(0, np.float32)] * len(probes)
    for role in ROLES:
        rows = [row for row, probe in enumerate(probes) if probe.role == role]
        found = encode[role]([probes[row].text for row in rows], progress=True)
        for position, row in enumerate(rows):
            vectors[row] = found[position : position + 1].values
    return vectors


def _bar(items: Sequence[Item], name: str) -> Iterable[Item]:
    bar: Iterable[Item] = tqdm(items, desc=name, disable=None, leave=False)
    return bar


def _groups(probes: Sequence[Probe], n_texts: int) -> list[list[int]]:
    """Return the positions of texts that share a batch."""
    groups = []
    for role in ROLES:
        rows = [row for row, probe in enumerate(probes) if probe.role == role]
        groups += [rows[start : start + n_texts] for start in range(0, len(rows), n_texts)]
    return groups


def _counted(batch: Batch, vectors: Floats) -> list[Floats]:
    return [row[mask] for row, mask in zip(vectors, batch.score_mask, strict=True)]
