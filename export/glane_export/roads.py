"""Texts encoded by three roads: torch, a bare ONNX session, and the runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from glane.model.checkpoint import Checkpoint
from glane.model.encoder import n_terms_of
from glane.model.preparation import Role, TextPreparer
from glane.model.progress import bar
from glane.model.session import load_session, run
from glane.retrievers.neural import Neural
from glane.retrievers.registry import NEURAL
from glane.threads import check_threads
from glane_export.rows import Row, TermRow, TokenRow, rows_of
from glane_trainer.model import Model

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


def by_torch(model: Model[Any], probes: Sequence[Probe]) -> list[Row]:
    """Return the row of each text, encoded alone."""
    encode = {"query": model.encode_queries, "document": model.encode_documents}
    rows: list[Row] = []
    for probe in _bar(probes, "torch"):
        n_terms = n_terms_of(model.checkpoint, probe.role)
        rows += rows_of(encode[probe.role]([probe.text]), n_terms)
    return rows


def by_session(
    folder: Path, probes: Sequence[Probe], n_texts: int, threads: int | None = None
) -> list[Row]:
    """Return the row of each text, encoded in batches of neighbours of one role.

    Args:
        folder: A model folder; its `model.json` is not read.
        probes: The texts; neighbours of one role share a batch whatever their lengths.
        n_texts: Texts in a batch, at least 1.
        threads: Threads to compute with; by default what the process may use.
    """
    preparer = TextPreparer.load(folder)
    session = load_session(folder / "model.onnx", check_threads(threads))
    found: dict[int, Row] = {}
    for positions in _bar(_groups(probes, n_texts), f"onnx, {n_texts} at once"):
        role = probes[positions[0]].role
        batch = preparer.encode([probes[position].text for position in positions], role)
        n_terms = n_terms_of(preparer.checkpoint, role)
        outputs = run(session, batch, n_terms)
        rows = TermRow.from_outputs(*outputs) if n_terms else TokenRow.from_outputs(batch, *outputs)
        found.update(zip(positions, rows, strict=True))
    return [found[position] for position in range(len(probes))]


def by_runtime(folder: Path, probes: Sequence[Probe], threads: int | None = None) -> list[Row]:
    """Return the row that `glane` gives for each text: what a user gets."""
    model = load_runtime(folder, threads)
    encode = {"query": model.encode_queries, "document": model.encode_documents}
    found: dict[int, Row] = {}
    for positions in _groups(probes, len(probes)):
        role = probes[positions[0]].role
        vectors = encode[role]([probes[position].text for position in positions], progress=True)
        rows = rows_of(vectors, n_terms_of(model.encoder.checkpoint, role))
        found.update(zip(positions, rows, strict=True))
    return [found[position] for position in range(len(probes))]


def load_runtime(folder: Path, threads: int | None) -> Neural[Any, Any]:
    """Return the runtime's model of a folder, of whatever kind."""
    return NEURAL[Checkpoint.read(folder).kind].load(folder, threads=threads)


def _bar(items: Sequence[Item], name: str) -> Iterator[Item]:
    with bar(len(items), name) as counter:
        for item in items:
            yield item
            counter.update()


def _groups(probes: Sequence[Probe], n_texts: int) -> list[list[int]]:
    """Return the positions of texts that share a batch."""
    groups = []
    for role in ROLES:
        rows = [row for row, probe in enumerate(probes) if probe.role == role]
        groups += [rows[start : start + n_texts] for start in range(0, len(rows), n_texts)]
    return groups
