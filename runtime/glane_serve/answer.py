"""A search over HTTP, from what is asked to the answer: of the server, and of the function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glane.commands.hits import shown_hits
from glane.retrievers.explaining import Explains
from glane.retrievers.timing import Timings
from glane_serve.refusals import Refused, asked
from glane_serve.settings import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the body of a search says, its values of the right types; see `bodies.SearchBody`."""

    query: str | None = None
    queries: list[str] | None = None
    k: int = 10
    offset: int = 0
    filter: str | Mapping[str, Any] | None = None
    fuse: Any = None
    fuse_weight: float | None = None
    candidates: int | None = None
    prune: int | None = None
    explain: bool = False
    timings: bool = False
    documents: bool = True

    def texts(self) -> list[str]:
        """Return the queries, one or several.

        Raises:
            Refused: If there are none, or they are given in both ways.
        """
        if self.query is not None and self.queries is not None:
            raise Refused(422, "pass either query or queries, not both")
        if self.queries is not None:
            return self.queries
        if self.query is None:
            raise Refused(422, "query is missing: pass query or queries")
        return [self.query]

    def options(self) -> dict[str, Any]:
        """Return what a search is asked for besides queries and number."""
        names = ("candidates", "fuse", "fuse_weight", "prune", "filter")
        return {name: getattr(self, name) for name in names}


def check(wanted: Asked, limits: Limits) -> None:
    """Refuse what is beyond a limit, before anything is done for it.

    Raises:
        Refused: With 413 where a text is too long, else with 422; the message names the limit.
    """
    texts, n_each = wanted.texts(), wanted.k + wanted.offset
    if len(texts) > limits.queries:
        raise Refused(413, f"got {len(texts)} queries; at most {limits.queries} are taken")
    with asked():
        said = wanted.filter
        written = said if isinstance(said, str) else json.dumps(said or "")
    for what, length, most in (
        ("query", max(map(len, texts), default=0), limits.query),
        ("filter", len(written), limits.filter),
    ):
        if length > most:
            raise Refused(413, f"the {what} has {length} characters; at most {most} are taken")
    n_hits = len(texts) * n_each
    if n_hits > limits.k:
        raise Refused(422, f"{n_hits} hits of all queries; at most {limits.k} may be asked for")
    if wanted.explain and n_hits > limits.explained:
        most = limits.explained
        raise Refused(422, f"{n_hits} hits of all queries; at most {most} may be explained")
    for name, number in (("k and offset", n_each), ("candidates", wanted.candidates)):
        if number is not None and number > limits.k:
            raise Refused(422, f"{name} may be {limits.k} at most, got {number}")


def answer(view: Explains, wanted: Asked) -> tuple[dict[str, Any], Timings]:
    """Search; return the answer, and what each stage took.

    Raises:
        Refused: As `refusals.asked`.
    """
    texts, options = wanted.texts(), wanted.options()
    k = wanted.k + wanted.offset
    answers = []
    with asked():
        results = view.search(texts, k, **options, timings=True)
        explained = {"k": k, **options} if wanted.explain else None
        for query, keys, scores in zip(texts, results.ids, results.scores, strict=True):
            left = keys[wanted.offset :], scores[wanted.offset :]
            hits = shown_hits(view, query, *left, explained, documents=wanted.documents)
            answers.append({"query": query, "hits": hits})
    timings = results.timings or {}
    told = {
        **({"queries": answers} if wanted.query is None else answers[0]),
        **of_index(view),
        **({"timings": timings} if wanted.timings else {}),
    }
    return told, timings


def of_index(view: Explains) -> dict[str, Any]:
    """Return what an answer tells of the index."""
    origin = view.origin
    generation = {} if origin is None else {"generation": origin.manifest.generation}
    return {"n_documents": len(view), **generation}
