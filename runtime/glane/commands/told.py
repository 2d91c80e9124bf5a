"""What commands say of texts that were cut, left out or empty: as data, and as lines of text."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

from glane.retrievers.passages import Passages
from glane.search import Search

UNIT = {"document": "documents", "query": "queries"}


@runtime_checkable
class _Analysing(Protocol):
    """A stage that searches the terms of an analyzer."""

    analyzer: Callable[[str], list[str]]


def truncated(search: Search) -> dict[str, Any]:
    """Return how many documents and queries were longer than a model reads, since it was loaded.

    `n_truncated` counts documents: those of the stage that cut most; `truncated` has both roles of
    each stage that has a model.
    """
    by_stage = {
        place: {role: stage.encoder.n_truncated[role] for role in UNIT}
        for place, stage in search.stages().items()
        if stage.encoder is not None
    }
    most = max((counts["document"] for counts in by_stage.values()), default=0)
    return {"n_truncated": most, "truncated": by_stage}


def cut_texts(result: Mapping[str, Any]) -> str:
    """Return lines on texts that were cut, each begun by a line break; nothing where none was."""
    return "".join(
        f"\n{_counted(count, role, f'longer than the {place} reads, and {{}} cut')}"
        for place, counts in result["truncated"].items()
        for role, count in counts.items()
        if count
    )


def parted(search: Search) -> dict[str, int]:
    """Return how many passages the documents have in the stage that parted them most, if any."""
    stages = [stage for stage in search.stages().values() if isinstance(stage, Passages)]
    most = max((stage.n_passages() for stage in stages), default=0)
    return {"n_passages": most} if most > len(search) else {}


def passages(result: Mapping[str, Any]) -> str:
    """Return a line on passages, begun by a line break; nothing where no document was parted."""
    n = result.get("n_passages")
    return f"\nlong documents are parted, so that all is read: {n} passages" if n else ""


def empty_texts(result: Mapping[str, Any]) -> str:
    """Return a line on documents without text, begun by a line break; nothing where all have."""
    n = result["n_empty"]
    return f"\n{n} documents have no text in the fields that are searched" if n else ""


def n_terms(search: Search, query: str) -> int | None:
    """Return how many terms of a query are looked for; None where they are not words."""
    retriever = search.retriever
    return len(retriever.analyzer(query)) if isinstance(retriever, _Analysing) else None


def versions() -> dict[str, str]:
    """Return the versions of what decides on a result."""
    named = {name: version(name) for name in ("glane", "numpy", "onnxruntime", "tokenizers")}
    return {**named, "python": platform.python_version()}


def _counted(count: int, role: str, what: str) -> str:
    name, verb = (role, "was") if count == 1 else (UNIT[role], "were")
    return f"{count} {name} {verb} {what.format(verb)}"
