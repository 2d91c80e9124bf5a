"""How many texts are longer than what a model reads of them, told before the first step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glane.model.preparation import TextPreparer
from glane_trainer.examples import Example, evenly

LOOKED_AT = 10_000
"""Examples, and distinct documents of theirs, that are looked at: of more, so many evenly."""


def count_cut(
    examples: Sequence[Example], preparer: TextPreparer, training_length: int
) -> dict[str, int]:
    """Return how many distinct texts are cut.

    Args:
        examples: To learn from.
        preparer: The model's, which cuts at the checkpoint's lengths.
        training_length: Tokens a document is cut at in training.

    Returns:
        `queries` and `documents` that are longer than the model reads, `documents_in_training`
        that are longer than training reads, and how many were looked at: `of_queries` and
        `of_documents`.
    """
    found = list(evenly(examples, LOOKED_AT))
    queries = _some(dict.fromkeys(example.anchor for example in found))
    texts = (text for e in found for text in (e.positive, *e.negatives))
    documents = _some(dict.fromkeys(texts))
    read = preparer.tokenize(documents, "document")
    shorter = training_length < preparer.checkpoint.document_length
    n_shorter = sum(len(row) > training_length for row in read.rows)
    return {
        "queries": preparer.tokenize(queries, "query").n_truncated,
        "of_queries": len(queries),
        "documents": read.n_truncated,
        "documents_in_training": n_shorter if shorter else read.n_truncated,
        "of_documents": len(documents),
    }


def _some(texts: dict[str, None]) -> list[str]:
    """Return the texts, or so many of them, evenly chosen."""
    found = list(texts)
    if len(found) <= LOOKED_AT:
        return found
    return [found[row] for row in np.linspace(0, len(found) - 1, LOOKED_AT).astype(int)]
