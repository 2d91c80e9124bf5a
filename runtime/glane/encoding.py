"""What a search stores of its documents: nothing that a model has computed is computed again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from tqdm import tqdm

from glane.retriever import Neural, Retriever
from glane.store.names import Hashes
from glane.types import Ids
from glane.vectors import TokenVectors

ENCODE_AT_ONCE = 512
"""Documents encoded before their vectors are put into the precision they are stored in."""


def content_hashes(texts: Sequence[str]) -> Hashes:
    """Return 128 bits of each text's hash, shape (n, 2)."""
    digests = [
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
    ]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def encode_documents(stage: Retriever, texts: Sequence[str], same: Ids, progress: bool) -> Any:  # noqa: ANN401
    """Return what a stage stores of the texts.

    Args:
        stage: Whose `encode_documents` is called, but for texts that a model has encoded before.
        texts: Any strings.
        same: The number under which each text is stored already, or -1.
        progress: Whether a bar runs on standard error where that is a terminal.
    """
    if not isinstance(stage, Neural) or (same < 0).all():
        return _encode_all(stage, texts, progress)
    fresh = np.flatnonzero(same < 0)
    stored = np.flatnonzero(same >= 0)
    stored = stored[np.argsort(same[stored])]
    taken = stage.take(same[stored])
    if not len(fresh):
        return taken[np.argsort(stored)]
    encoded = _encode_all(stage, [texts[place] for place in fresh.tolist()], progress)
    both = type(encoded).concatenate([encoded, taken])
    return both[np.argsort(np.concatenate([fresh, stored]))]


def _encode_all(stage: Retriever, texts: Sequence[str], progress: bool) -> Any:  # noqa: ANN401
    name = type(stage).__name__
    hidden = None if progress else True  # None: tqdm hides the bar where there is no terminal
    parts = []
    with tqdm(total=len(texts), desc=f"{name} documents", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), ENCODE_AT_ONCE):
            vectors = stage.encode_documents(texts[start : start + ENCODE_AT_ONCE])
            parts.append(vectors.half() if isinstance(vectors, TokenVectors) else vectors)
            bar.update(len(vectors))
    return type(parts[0]).concatenate(parts)
