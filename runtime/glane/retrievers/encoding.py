"""Documents into what a stage stores, some at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
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

WORDS_AT_ONCE = 1 << 14
"""The same of documents whose words are counted, ..."""

WORDS_CHARACTERS = 1 << 20
"""... and of their characters."""


Each = Callable[[Retriever, list[Sequence[str]]], Iterator[Any]]
"""Yields `encode_group` of each group of texts, in order; here, or by other processes."""


def encode_group(stage: Retriever, texts: Sequence[str]) -> Any:  # noqa: ANN401
    """Return what a stage stores of some texts that are encoded at once."""
    vectors = stage.encode_documents(texts)
    halved = isinstance(vectors, TokenVectors | TermEmbeddings | PassageVectors)
    return vectors.half() if halved else vectors


def one_by_one(stage: Retriever, groups: list[Sequence[str]]) -> Iterator[Any]:
    """Encode groups of texts here, see `Each`."""
    return (encode_group(stage, texts) for texts in groups)


def encode_documents(
    stage: Retriever, texts: Sequence[str], progress: bool, each: Each = one_by_one
) -> Any:  # noqa: ANN401
    """Return what a stage stores of some texts, at least one.

    Args:
        stage: Whose `encode_documents` is called.
        texts: Any strings.
        progress: Whether a bar runs on standard error where that is a terminal.
        each: Who encodes.
    """
    parts, began = [], time.perf_counter()
    counted = stage.encoder is None
    most = (WORDS_AT_ONCE, WORDS_CHARACTERS) if counted else (AT_ONCE, CHARACTERS)
    groups = [texts[start:stop] for start, stop in _groups(texts, *most)]
    with bar(len(texts), f"{type(plain(stage)).__name__} documents", progress) as shown:
        for group, vectors in zip(groups, each(stage, groups), strict=True):
            parts.append(vectors)
            shown.update(len(group))
    took = time.perf_counter() - began
    LOG.debug("%s encoded %d documents in %.2f s", type(plain(stage)).__name__, len(texts), took)
    return parts[0] if len(parts) == 1 else type(parts[0]).concatenate(parts)


def _groups(texts: Sequence[str], at_once: int, characters: int) -> Iterator[tuple[int, int]]:
    """Yield where the texts begin and end that are encoded at once.

    Args:
        texts: At least one.
        at_once: Texts of a group at most.
        characters: Of a group, but for its last text.
    """
    start = n_characters = 0
    for stop, text in enumerate(texts, 1):
        n_characters += len(text)
        if n_characters > characters or stop - start == at_once or stop == len(texts):
            yield start, stop
            start, n_characters = stop, 0
