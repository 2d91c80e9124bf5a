"""What a search finds, with text and metadata, as every framework wants it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glane.collection.fields import join_fields
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search

Filter = str | Mapping[str, Any]


class Found(NamedTuple):
    """A document that was found.

    Attributes:
        id: Its id, as text.
        text: What is searched of it: its fields, joined by a space.
        metadata: Its other fields, the title among them, and the id as its owner gives it, by the
            name of the key.
        score: That the search gives it.
    """

    id: str
    text: str
    metadata: dict[str, Any]
    score: float


def open_search(index: str | Path | Search) -> Search:
    """Return a search; of a folder it is loaded.

    Raises:
        CheckpointError: If the index is missing or damaged.
        ValueError: If it keeps no documents: a framework hands on texts, not ids.
    """
    search = index if isinstance(index, Search) else Search.load(index)
    if search.kept is None:
        raise ValueError(
            f"{search!r} keeps no documents, and a framework wants their texts; make the index "
            "without --no-documents, or the search with keep_documents=True"
        )
    return search


def open_reranker(model: str | Path | TextReranker) -> TextReranker:
    """Return a reranker of texts; of a model's folder it is loaded.

    Raises:
        CheckpointError: If the model is missing or damaged.
    """
    return model if isinstance(model, TextReranker) else TextReranker.load(model)


def find(search: Search, query: str, k: int, filter: Filter | None = None) -> list[Found]:
    """Return the k best documents, all of one state of the search.

    Args:
        search: It keeps its documents.
        query: Any string.
        k: At least 1.
        filter: As `Search.search` takes it.

    Raises:
        TypeError: If the query is no string, or `k` no integer.
        ValueError: As `Search.search`; or if two documents of the answer have one id, a number and
            the text of its digits, which a framework could not tell apart.
    """
    view = search.view()
    results = view.search([query], k, filter=filter)
    keys, scores = results.ids[0], results.scores[0]
    if len({str(key) for key in keys}) < len(keys):
        raise ValueError(f"of the ids {keys!r:.200} two are the same as text; rename one of them")
    hidden = view.on[1:] or view.on
    return [
        Found(
            str(key),
            join_fields(document, view.on),
            {**{n: value for n, value in document.items() if n not in hidden}, view.key: key},
            score,
        )
        for key, score, document in zip(keys, scores, view.documents(keys), strict=True)
    ]
