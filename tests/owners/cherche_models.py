"""neural-cherche's models, as it saves them.

`python -m tests.owners.cherche_models OUT [NAME...]`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.owners.record import Golden, Make, base, edit, make_all, of_terms, of_vectors
from tests.owners.texts import DOCUMENTS, QUERIES

METADATA = "metadata.json"

Change = Callable[[Path], None]
Rows = list[dict[str, Any]]


def _encoded(model: Any, texts: list[str], *, query: bool) -> Rows:
    with torch.no_grad():
        return [model.eval().encode([text], query_mode=query) for text in texts]


def _vectors(queries: Rows, documents: Rows) -> Golden:
    """Score as neural-cherche does: rows of padding are zeros, and one of them may be the best."""
    rows = [[each["embeddings"][0].numpy() for each in side] for side in (queries, documents)]
    counted = [[found[np.abs(found).any(1)] for found in side] for side in rows]
    meant = of_vectors(*counted)
    golden = of_vectors(*rows)
    return golden | {
        "query_shapes": meant["query_shapes"],
        "scores_without_padding": meant["scores"],
    }  # type: ignore[return-value]


def _terms(queries: Rows, documents: Rows) -> Golden:
    rows = [
        torch.stack([each["sparse_activations"].to_dense()[0] for each in side]).numpy()
        for side in (queries, documents)
    ]
    return of_terms(*rows)


def _embedded(queries: Rows, documents: Rows) -> Golden:
    """Score terms that both have, by `dense_scores`; `SparseEmbed.scores` itself cannot run."""
    scores = [[_pair(query, document) for document in documents] for query in queries]
    shapes = [
        [list(each["embeddings"].shape[1:]) for each in side] for side in (queries, documents)
    ]
    return Golden(scores=scores, query_shapes=shapes[0], document_shapes=shapes[1])


def _pair(query: dict[str, Any], document: dict[str, Any]) -> float:
    sides = {"anchor": query, "positive": document, "negative": document}
    given = {
        f"{name}_{what}": side[what]
        for name, side in sides.items()
        for what in ("activations", "embeddings")
    }
    found = import_module("neural_cherche.utils").dense_scores(**given, func=torch.sum)
    value = found["positive_scores"]
    return 0.0 if value is None else float(value)


SCORERS = {"ColBERT": _vectors, "Splade": _terms, "SparseEmbed": _embedded}


def made(name: str, kind: str = "mlm", change: Change | None = None, **settings: Any) -> Make:
    """Return a maker of a model of one of the three classes."""

    def make(folder: Path) -> Golden:
        torch.manual_seed(0)
        settings.setdefault("max_length_document", 60)
        build = getattr(import_module("neural_cherche.models"), name)
        build(base(kind), device="cpu", **settings).save_pretrained(str(folder))
        if change:
            change(folder)
        model = build(str(folder), device="cpu")
        sides = (_encoded(model, QUERIES, query=True), _encoded(model, DOCUMENTS, query=False))
        return SCORERS[name](*sides)

    return make


def lengths_alone(folder: Path) -> None:
    """Write the metadata as the first releases did."""
    known = json.loads((folder / METADATA).read_text())
    few = {name: known[name] for name in ("max_length_query", "max_length_document")}
    (folder / METADATA).write_text(json.dumps(few))


def said(**changes: Any) -> Change:
    return lambda folder: edit(folder / METADATA, **changes)


SHORT: dict[str, Any] = {"max_length_query": 8, "max_length_document": 24}
PREFIXES: dict[str, Any] = {"query_prefix": "ask: ", "document_prefix": "text: "}

MAKES: dict[str, Make] = {
    "cherche-vectors": made("ColBERT", embedding_size=8),
    "cherche-vectors-short": made("ColBERT", embedding_size=12, **SHORT, **PREFIXES),
    "cherche-vectors-older": made("ColBERT", embedding_size=8, change=lengths_alone),
    "cherche-vectors-bare": made(
        "ColBERT", embedding_size=8, change=said(add_special_tokens=False, padding=True)
    ),
    "cherche-vectors-distilbert": made("ColBERT", "distilbert", embedding_size=8),
    "cherche-vectors-roberta": made("ColBERT", "roberta", embedding_size=8),
    "cherche-terms": made("Splade"),
    "cherche-terms-short": made("Splade", **SHORT, **PREFIXES),
    "cherche-terms-no-masks": made("Splade", n_mask_tokens=0),
    "cherche-terms-five-masks": made("Splade", n_mask_tokens=5, max_length_query=20),
    "cherche-terms-older": made("Splade", change=lengths_alone),
    "cherche-embeddings": made("SparseEmbed", embedding_size=8),
    "cherche-embeddings-short": made("SparseEmbed", embedding_size=12, n_mask_tokens=1, **SHORT),
}

if __name__ == "__main__":
    make_all(MAKES, *sys.argv[1:])
