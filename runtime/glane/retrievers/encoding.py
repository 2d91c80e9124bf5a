"""Documents into what a stage stores, some at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from glane.model.progress import bar
from glane.retrievers.contract import Retriever
from glane.retrievers.passage_vectors import PassageVectors
from glane.retrievers.passages import plain
from glane.vectors import TermEmbeddings, TokenVectors

LOG = logging.getLogger("glane")

AT_ONCE = 512
"""Documents encoded before their vectors are put into the precision they are stored in, ..."""

CHARACTERS = 1 << 13
"""... but not many more than have so many characters together: float32 is twice as large."""


def encode_documents(stage: Retriever, texts: Sequence[str], progress: bool) -> Any:  # noqa: ANN401
    """Return what a stage stores of some texts, at least one.

    Args:
        stage: Whose `encode_documents` is called.
        texts: Any strings.
        progress: Whether a bar runs on standard error where that is a terminal.
    """
    parts, began = [], time.perf_counter()
    with bar(len(texts), f"{type(plain(stage)).__name__} documents", progress) as shown:
        for start, stop in _groups(texts):
            vectors = stage.encode_documents(texts[start:stop])
            halved = isinstance(vectors, TokenVectors | TermEmbeddings | PassageVectors)
            parts.append(vectors.half() if halved else vectors)
            shown.update(stop - start)
    took = time.perf_counter() - began
    LOG.debug("%s encoded %d documents in %.2f s", type(plain(stage)).__name__, len(texts), took)
    return parts[0] if len(parts) == 1 else type(parts[0]).concatenate(parts)


def _groups(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where the texts begin and end that are encoded at once."""
    start = n_characters = 0
    for stop, text in enumerate(texts, 1):
        n_characters += len(text)
        if n_characters > CHARACTERS or stop - start == AT_ONCE or stop == len(texts):
            yield start, stop
            start, n_characters = stop, 0
