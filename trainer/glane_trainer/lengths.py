"""How long texts are: what a new model is to read of queries, and what is cut, told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glane.model.preparation import TextPreparer
from glane_trainer.examples import Example, evenly
from glane_trainer.telling import tell

LOOKED_AT = 10_000
"""Examples, and distinct documents of theirs, that are looked at: of more, so many evenly."""

COVERED = 0.99
"""Share of the queries that a new model reads whole."""

STEP, MOST = 8, 512
"""Its length for queries is a multiple of the first, and at most the second."""


def read_whole(
    preparer: TextPreparer, queries: Sequence[str], limit: int | None = None
) -> TextPreparer:
    """Return a text preparation that cuts few of the queries, and tell so where it is another.

    Where queries are filled up with mask tokens, they are so up to the length there was.

    Args:
        preparer: Of a new model.
        queries: As they will be asked; at least one.
        limit: Tokens that the encoder reads at most, None for any number.
    """
    checkpoint = preparer.checkpoint
    most = MOST if limit is None else min(MOST, limit)
    if most <= checkpoint.query_length:
        return preparer
    whole = _with_query_length(preparer, most)
    lengths = [len(row) for row in whole.tokenize(queries, "query").rows]
    needed = int(np.quantile(lengths, COVERED, method="inverted_cdf"))
    length = min(most, -(-needed // STEP) * STEP)
    if length <= checkpoint.query_length:
        return preparer
    tell(
        f"queries are read up to {length} tokens instead of {checkpoint.query_length}: 99 of 100 "
        f"of {len(queries)} in the data have at most {needed} (--query-length)"
    )
    return _with_query_length(preparer, length)


def _with_query_length(preparer: TextPreparer, length: int) -> TextPreparer:
    before = preparer.checkpoint
    filled = before.query_length if before.query_expansion else 0
    expansion_length = before.expansion_length or filled
    after = replace(before, query_length=length, expansion_length=expansion_length)
    return TextPreparer(after, preparer.tokenizer_json)


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
    queries = list(dict.fromkeys(example.anchor for example in found))
    texts = (text for e in found for text in (e.positive, *e.negatives))
    documents = list(evenly(list(dict.fromkeys(texts)), LOOKED_AT))
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
