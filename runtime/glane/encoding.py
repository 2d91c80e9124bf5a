"""What a search stores of its documents, and how it knows that it is stored already."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from tqdm import tqdm

from glane.retriever import Retriever
from glane.store.names import Hashes
from glane.text import clean
from glane.vectors import TermEmbeddings, TokenVectors

ENCODE_AT_ONCE = 512
"""Documents encoded before their vectors are put into the precision they are stored in."""

HASH_BYTES = 16


def content_hashes(texts: Sequence[str]) -> Hashes:
    """Return numbers that differ where the text that is encoded differs, shape (n, 2)."""
    digests = [blake2b(clean(text).encode(), digest_size=HASH_BYTES).digest() for text in texts]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def encode_documents(stage: Retriever, texts: Sequence[str], progress: bool) -> Any:  # noqa: ANN401
    """Return what a stage stores of some texts, at least one.

    Args:
        stage: Whose `encode_documents` is called.
        texts: Any strings.
        progress: Whether a bar runs on standard error where that is a terminal.
    """
    name = type(stage).__name__
    hidden = None if progress else True  # None: tqdm hides the bar where there is no terminal
    parts = []
    with tqdm(total=len(texts), desc=f"{name} documents", disable=hidden, leave=False) as bar:
        for start in range(0, len(texts), ENCODE_AT_ONCE):
            vectors = stage.encode_documents(texts[start : start + ENCODE_AT_ONCE])
            halved = isinstance(vectors, TokenVectors | TermEmbeddings)
            parts.append(vectors.half() if halved else vectors)
            bar.update(len(vectors))
    return type(parts[0]).concatenate(parts)
