"""What commands say of texts that were cut, left out or empty: as data, and as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glane.search import Search

UNIT = {"document": "documents", "query": "queries"}


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
        f"\n{count} {UNIT[role]} were longer than the {place} reads, and were cut"
        for place, counts in result["truncated"].items()
        for role, count in counts.items()
        if count
    )


def empty_texts(result: Mapping[str, Any]) -> str:
    """Return a line on documents without text, begun by a line break; nothing where all have."""
    n = result["n_empty"]
    return f"\n{n} documents have no text in the fields that are searched" if n else ""
