"""The model that a training begins with, as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from glane.types import Floats
from glane_trainer.mining.batching import digest_of
from glane_trainer.model import Model

KEPT_BYTES = 1 << 30
"""Bytes of encoded documents that are kept: most come again."""


class StartTeacher:
    """Scores texts by a model as it is."""

    def __init__(self, model: Model[Any]) -> None:
        """Take a model."""
        self._model = model
        self._rows: dict[str, Any] = {}
        self._n_bytes = 0

    def record(self) -> dict[str, object]:
        """Return what decides the scores."""
        return {"start": digest_of(self._model), "kind": self._model.kind}

    def score(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Floats]:
        """Return the score of each of a query's texts, for each query."""
        asked = self._model.encode_queries(queries)
        rows = self._encoded([text for own in texts for text in own])
        found: list[Floats] = []
        for query, own in enumerate(texts):
            if not own:
                found.append(np.zeros(0, np.float32))
                continue
            documents = type(rows[own[0]]).concatenate([rows[text] for text in own])
            found.append(self._model.score(asked[query : query + 1], documents)[0])
        return found

    def _encoded(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return what each text is encoded as; what was used longest ago is forgotten first."""
        wanted = list(dict.fromkeys(texts))
        new = [text for text in wanted if text not in self._rows]
        rows = {text: self._rows.pop(text) for text in wanted if text in self._rows}
        if new:
            vectors = self._model.encode_documents(new)
            for row, text in enumerate(new):
                rows[text] = vectors[np.array([row])]
                self._n_bytes += _n_bytes(rows[text])
        self._rows |= rows
        while self._n_bytes > KEPT_BYTES:
            self._n_bytes -= _n_bytes(self._rows.pop(next(iter(self._rows))))
        return rows


def _n_bytes(vectors: Any) -> int:  # noqa: ANN401 (rows, and what they are made of)
    if isinstance(vectors, np.ndarray):
        return vectors.nbytes
    return sum(_n_bytes(getattr(vectors, part.name)) for part in fields(vectors))
