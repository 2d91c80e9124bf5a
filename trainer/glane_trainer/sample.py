"""Some texts of the training data, beside the weights: an export is proved on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

from glane.errors import CheckpointError
from glane.model.schema import parse_json, read_small
from glane_trainer.examples import Example, evenly

SAMPLE = "sample.json"

N_TEXTS = 54
"""Queries at most, and documents."""

LOOKED_AT = 10_000
"""Examples that they are chosen from; of more, as many evenly chosen."""

N_CHARACTERS = 4_000
"""Characters of a text that are kept at most."""


class Sample(NamedTuple):
    """Some texts of the training data, each once.

    Attributes:
        queries: At most `N_TEXTS`.
        documents: Likewise, of those that answer a query.
    """

    queries: list[str]
    documents: list[str]


def write_sample(folder: Path, examples: Sequence[Example]) -> None:
    """Write `sample.json`: texts of examples that are spread evenly over all."""
    found = list(evenly(examples, LOOKED_AT))
    queries = _spread(dict.fromkeys(example.anchor for example in found))
    documents = _spread(dict.fromkeys(example.positive for example in found))
    text = json.dumps({"queries": queries, "documents": documents}, indent=2, ensure_ascii=False)
    (folder / SAMPLE).write_text(text + "\n", encoding="utf-8", errors="replace")


def read_sample(folder: str | Path) -> Sample | None:
    """Return what a checkpoint keeps of its training data; None where it keeps nothing.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = Path(folder) / SAMPLE
    if not path.exists():
        return None
    record = parse_json(read_small(folder, SAMPLE), str(path))
    if isinstance(record, dict):
        queries, documents = record.get("queries"), record.get("documents")
        if _are_texts(queries) and _are_texts(documents):
            return Sample(queries, documents)
    raise CheckpointError(
        f"{str(path)!r} must have two lists of strings, `queries` and `documents`"
    )


def _spread(texts: dict[str, None]) -> list[str]:
    distinct = [text for text in texts if text.strip()]
    step = max(1, -(-len(distinct) // N_TEXTS))
    return [text[:N_CHARACTERS] for text in distinct[::step]]


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
