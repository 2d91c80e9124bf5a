"""Which queries a model cannot tell from held-out ones: it reads the same token ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from glane.collection.spelling import choose_held_out as choose_held_out
from glane.collection.spelling import spelling as spelling
from glane.model.preparation import TextPreparer


def token_keys(queries: Sequence[str], preparer: TextPreparer) -> list[bytes]:
    """Return what a model sees of each query: its token ids, cut as the model cuts them."""
    return [row.tobytes() for row in preparer.tokenize(queries, "query").rows]


def read_as_held_out(
    anchors: Collection[str], held_out: Collection[str], preparer: TextPreparer
) -> set[str]:
    """Return the queries that a model cannot tell from a held-out one: its token ids are theirs."""
    unseen = set(token_keys(list(held_out), preparer))
    distinct = list(dict.fromkeys(anchors))
    keys = token_keys(distinct, preparer)
    return {anchor for anchor, key in zip(distinct, keys, strict=True) if key in unseen}
