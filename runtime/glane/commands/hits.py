"""What is shown of a hit: on the command line, over HTTP and to agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from glane.hits import Key
from glane.retrievers.explaining import Explains


def shown_hits(
    search: Explains,
    query: str,
    keys: Sequence[Key],
    scores: Sequence[float],
    explained: Mapping[str, Any] | None = None,
    *,
    documents: bool = True,
) -> list[dict[str, Any]]:
    """Return hits with document, title and best passage, where documents are kept.

    Args:
        search: What was searched.
        query: For what.
        keys: Id of each hit.
        scores: Score of each.
        explained: How it was searched, as `Search.explanations` takes it, to add why each hit was
            found; None adds nothing.
        documents: Whether the documents themselves are wanted.
    """
    hits: list[dict[str, Any]] = [
        {"id": key, "score": score} for key, score in zip(keys, scores, strict=True)
    ]
    if search.kept is not None:
        if documents:
            for hit, document in zip(hits, search.documents(keys), strict=True):
                hit["document"] = document
        for hit, excerpt in zip(hits, search.excerpts(query, keys), strict=True):
            shown = {each.name: getattr(excerpt, each.name) for each in fields(excerpt)}
            hit |= {"title": shown.pop("title"), "passage": shown}
    if explained is not None:
        explanations = search.explanations(query, keys, **explained)
        for hit, explanation in zip(hits, explanations, strict=True):
            hit["explanation"] = explanation.to_dict()
    return hits
