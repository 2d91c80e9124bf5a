"""Rankings of any system, in TREC's six columns."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from glane.collection.rows import Rows

Run = dict[str, list[tuple[str, float]]]
"""Ids and scores of each query's documents, best first."""

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


def read_run(path: str | Path | Rows) -> Run:
    """Read lines of `query Q0 document rank score name`, with white space between them.

    Documents are ordered as trec_eval orders them: by score as float32, equal scores by falling
    id. The rank that is written is not looked at.

    Raises:
        OSError: If the file is missing, a folder, or not readable.
        ValueError: If a line is malformed, a document appears twice for a query, or there is no
            line; the message names file and line.
    """
    rows = path if isinstance(path, Rows) else Rows(path)
    scores: dict[str, dict[str, float]] = {}
    for number, line in rows.lines():
        place = rows.place(number)
        cells = line.split()
        if len(cells) != 6:
            raise ValueError(
                f"{place}: expected six columns, query Q0 document rank score name, got "
                f"{len(cells)}: {line[:80]!r}"
            )
        query, _, document, _, score, _ = cells
        if not NUMBER.fullmatch(score) or not math.isfinite(float(score)):
            raise ValueError(f"{place}: the score must be a number, got {score!r}")
        if document in scores.setdefault(query, {}):
            raise ValueError(f"{place}: document {document!r} appears twice for query {query!r}")
        scores[query][document] = float(score)
    if not scores:
        raise ValueError(f"{rows.name} ranks nothing; expected query Q0 document rank score name")
    return {query: _ordered(documents) for query, documents in scores.items()}


def _ordered(documents: dict[str, float]) -> list[tuple[str, float]]:
    with np.errstate(over="ignore"):
        keyed = [(float(np.float32(score)), id) for id, score in documents.items()]
    return [(id, documents[id]) for _, id in sorted(keyed, reverse=True)]
