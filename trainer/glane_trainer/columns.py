"""The documents of a batch, as columns of a matrix of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Columns(NamedTuple):
    """The documents of a batch, each text once.

    Attributes:
        texts: Distinct documents.
        targets: int64, shape (n_queries,), the position of each query's positive.
        masked: Boolean, shape (n_queries, n_texts), true where a document is known to answer the
            query but is not its target.
        own: int64, shape (n_queries, n_own), the positions of each query's positive and, after
            it, its negatives; -1 where a query has fewer.
    """

    texts: list[str]
    targets: Tensor
    masked: Tensor
    own: Tensor


def columns_of(
    anchor: Sequence[str],
    positive: Sequence[str],
    negative: Sequence[str | Sequence[str]],
    known: Sequence[frozenset[str]],
) -> Columns:
    """Return the distinct documents of a batch, and which of them each query may not push away.

    Args:
        anchor: Shape (n,).
        positive: Shape (n,).
        negative: Shape (n,), one or a list for each.
        known: Documents known to answer each anchor, shape (n,), or nothing.

    Raises:
        ValueError: If the lists are not equally long.
    """
    if not len(anchor) == len(positive) == len(negative):
        sizes = (len(anchor), len(positive), len(negative))
        raise ValueError(f"a step needs as many anchors as positives and negatives, got {sizes}")
    explicit = [[texts] if isinstance(texts, str) else texts for texts in negative]
    texts = list(dict.fromkeys([*positive, *(text for row in explicit for text in row)]))
    positions = {text: position for position, text in enumerate(texts)}
    answers: dict[str, set[int]] = {query: set() for query in anchor}
    for query, text in zip(anchor, positive, strict=True):
        answers[query].add(positions[text])
    for query, of_query in zip(anchor, known, strict=bool(known)):
        answers[query] |= {positions[text] for text in of_query if text in positions}
    pairs = [(row, text) for row, query in enumerate(anchor) for text in answers[query]]
    masked = torch.zeros(len(anchor), len(texts), dtype=torch.bool)
    rows, columns = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(1)
    masked[rows, columns] = True
    own = padded(
        [[positions[t] for t in (p, *row)] for p, row in zip(positive, explicit, strict=True)], -1
    )
    targets = own[:, 0]
    masked[torch.arange(len(anchor)), targets] = False
    return Columns(texts, targets, masked, own)


def padded(rows: Sequence[Sequence[float]], filler: float) -> Tensor:
    """Return rows of different lengths as one tensor, of the filler's type, short ones filled up.

    >>> padded([[1, 2], [3]], -1)
    tensor([[ 1,  2],
            [ 3, -1]])
    """
    width = max((len(row) for row in rows), default=0)
    dtype = torch.int64 if isinstance(filler, int) else torch.float32
    values = [[*row, *[filler] * (width - len(row))] for row in rows]
    return torch.tensor(values, dtype=dtype).reshape(len(rows), width)
