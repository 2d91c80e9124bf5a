"""The answer to a search, as JSON has it: of the server, and of the function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from glane.commands.hits import shown_hits
from glane.retrievers.explaining import Explains
from glane.retrievers.timing import Timings


class Wanted(NamedTuple):
    """What an answer holds.

    Attributes:
        k: Hits of each query.
        offset: Best hits that are passed over.
        options: How it is searched, as `Search.search` takes it.
        explain: Whether each hit tells what its score is made of.
        documents: Whether hits hold the documents, where they are kept.
    """

    k: int
    offset: int
    options: Mapping[str, Any]
    explain: bool
    documents: bool


def answered(
    view: Explains, queries: Sequence[str], wanted: Wanted
) -> tuple[list[dict[str, Any]], Timings]:
    """Search; return the answer to each query, and what each stage took.

    Raises:
        TypeError: As `Search.search`.
        ValueError: Likewise.
    """
    k = wanted.k + wanted.offset
    results = view.search(queries, k, **wanted.options, timings=True)
    explained = {"k": k, **wanted.options} if wanted.explain else None
    answers = []
    for query, keys, scores in zip(queries, results.ids, results.scores, strict=True):
        left = keys[wanted.offset :], scores[wanted.offset :]
        hits = shown_hits(view, query, *left, explained, documents=wanted.documents)
        answers.append({"query": query, "hits": hits})
    return answers, results.timings or {}


def of_index(view: Explains) -> dict[str, Any]:
    """Return what an answer tells of the index."""
    origin = view.origin
    generation = {} if origin is None else {"generation": origin.manifest.generation}
    return {"n_documents": len(view), **generation}
