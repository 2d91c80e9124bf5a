"""Documents and the template of a query, as files for engines that are not spoken to here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from glane.integrations.pushed import Pushed, width
from glane.maxsim.quantization import decoded
from glane.model.progress import bar
from glane.retrievers.fusion import UNSAID
from glane.vectors import SparseVectors
from glane_engines.contents import Content, Entry, content, entries

TOKENS = "colbert"
"""Field of token vectors; that of the terms has the name of the retriever's kind."""

QUERY = "query.json"
"""The file of the query's template."""

DECIMALS = 5
"""Of a component of a token vector: an int8's step is hundreds of times as large."""

STATE = "@state"
"""Entry of the template that says which state of which index the documents are of."""

Lines = Callable[[Entry, Content], list[dict[str, Any]]]
"""Gives what is written of a document, a line each."""


def write_documents(pushed: Pushed, path: Path, lines: Lines) -> dict[str, int]:
    """Write all documents, and return how many there are, and how many are of several passages.

    Args:
        pushed: The index.
        path: Of the file.
        lines: Gives what is written of a document.
    """
    n_parted = 0
    with path.open("w", encoding="utf-8") as file, bar(len(pushed.search), "writing") as shown:
        for entry, own in _contents(pushed):
            n_parted += max(len(own.terms), len(own.tokens)) > 1
            file.writelines(f"{json.dumps(line)}\n" for line in lines(entry, own))
            shown.update(1)
    return {"documents": len(pushed.search), "parted": n_parted}


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write a JSON object for people to read."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def named_terms(vectors: SparseVectors) -> list[dict[str, float]]:
    """Return the weights above 0 of each row by the terms' names in an engine.

    A name is the term's number behind a `t`: engines read dots and blanks as something else.
    """
    return [
        {
            f"t{term}": value
            for term, value in zip(
                vectors.indices[start:stop].tolist(),
                vectors.values[start:stop].tolist(),
                strict=True,
            )
            if value > 0
        }
        for start, stop in pairwise(vectors.indptr.tolist())
    ]


def token_lists(own: Content) -> list[list[list[float]]]:
    """Return the token vectors of each passage of a document that has any, rounded."""
    values = [decoded(codes).values.astype(np.float64) for codes in own.tokens]
    passages = [each.round(DECIMALS).tolist() for each in values]
    return [passage for passage in passages if passage]


def fill(template: str | Path, pushed: Pushed, query: str, k: int = 10) -> dict[str, Any]:
    """Return the body of a search: a template with a query's terms and tokens.

    Args:
        template: The file `query.json` that `glane push` wrote.
        pushed: The index that it wrote it of.
        query: Any string.
        k: Documents wanted, at least 1.

    Raises:
        ValueError: If the template is of another index, or another state of this one.
    """
    text = Path(template).read_text("utf-8")
    pushed.check({"state": json.loads(text)[STATE], "finished": True}, str(template))
    (terms,) = named_terms(pushed.terms([query]))
    tokens: list[Any] = []
    if pushed.reranker is not None:
        tokens = pushed.tokens([query]).values.tolist()
    values: dict[str, Any] = {
        "@terms": terms,
        "@ones": json.dumps(dict.fromkeys(terms, 1)),
        "@tokens": tokens,
        "@numbered": {str(place): token for place, token in enumerate(tokens)},
        "@shift": len(tokens),
        "@candidates": width(k, pushed.ranking(UNSAID)),
        "@k": k,
    }
    body: dict[str, Any] = json.loads(text, object_hook=lambda found: _filled(found, values))
    del body[STATE]
    return body


def _filled(found: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: values.get(value, value) if isinstance(value, str) else value
        for name, value in found.items()
    }


def _contents(pushed: Pushed) -> Iterator[tuple[Entry, Content]]:
    for some in entries(pushed):
        for entry in some:
            yield entry, content(pushed, entry)
