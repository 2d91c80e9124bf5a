"""Search and reranking as Haystack's components.

>>> from glane.integrations.haystack import GlaneRetriever  # doctest: +SKIP
>>> GlaneRetriever("index").run("how do plants eat light", top_k=3)  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from glane.hits import check_k
from glane.integrations import missing
from glane.integrations.found import find, open_reranker, open_search
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search
from glane.threads import Guard

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ModuleNotFoundError as error:
    raise missing("haystack-ai", "haystack", error) from None


@component
class GlaneRetriever:
    """The best documents of an index.

    A document's content is what is searched of it; its other fields are the meta, with the id under
    the name of the index's key.
    """

    def __init__(
        self,
        index: str | Path | Search,
        top_k: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> None:
        """Say what is searched; a folder is opened by `warm_up`, or at the first question.

        Args:
            index: Its folder, or a search.
            top_k: Documents wanted, at least 1, where a run does not say.
            filters: Which documents may be found, in Haystack's form, where a run does not say.

        Raises:
            ValueError: If `top_k` is below 1.
        """
        self.index = index
        self.top_k = check_k(top_k, "top_k")
        self.filters = filters
        self._search: Search | None = None
        self._guard = Guard()

    def warm_up(self) -> None:
        """Open the index.

        Raises:
            CheckpointError: If it is missing or damaged.
            ValueError: If it keeps no documents.
        """
        self._opened()

    def to_dict(self) -> dict[str, Any]:
        """Return what makes an equal component: the folder of the index, not what is in it.

        Raises:
            ValueError: If a search was given that lies in no folder.
        """
        folder = self.index
        if isinstance(folder, Search):
            if folder.origin is None:
                raise ValueError(f"{folder!r} lies in no folder to be named; save it first")
            folder = folder.origin.folder
        return default_to_dict(self, index=str(folder), top_k=self.top_k, filters=self.filters)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GlaneRetriever:
        """Return the component that `to_dict` told of."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best documents, with their scores, as `documents`.

        Args:
            query: Any string.
            filters: Which documents may be found, in Haystack's form, in place of the component's.
            top_k: Documents wanted, at least 1; None stands for the component's.

        Raises:
            ValueError: If the filters have no counterpart, or name a field that the index does not
                filter by.
        """
        search = self._opened()
        asked = self.filters if filters is None else filters
        wanted = condition(asked, search.types) if asked else None
        found = find(search, query, self.top_k if top_k is None else top_k, wanted)
        made = [
            Document(id=hit.id, content=hit.text, meta=hit.metadata, score=hit.score)
            for hit in found
        ]
        return {"documents": made}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return what `run` does, from a thread."""
        return await asyncio.to_thread(self.run, query, filters, top_k)

    def _opened(self) -> Search:
        with self._guard:
            if self._search is None:
                self._search = open_search(self.index)
            return self._search


@component
class GlaneRanker:
    """Orders any documents for a query by a model of glane."""

    def __init__(self, model: str | Path | TextReranker, top_k: int = 10) -> None:
        """Say which model scores; a folder is loaded by `warm_up`, or at the first question.

        Args:
            model: Its folder, or a `TextReranker`.
            top_k: Documents wanted, at least 1, where a run does not say.

        Raises:
            ValueError: If `top_k` is below 1.
        """
        self.model = model
        self.top_k = check_k(top_k, "top_k")
        self._reranker: TextReranker | None = None
        self._guard = Guard()

    def warm_up(self) -> None:
        """Load the model.

        Raises:
            CheckpointError: If it is missing or damaged.
        """
        self._loaded()

    def to_dict(self) -> dict[str, Any]:
        """Return what makes an equal component: the folder of the model, not what is in it."""
        folder = self.model.folder if isinstance(self.model, TextReranker) else self.model
        return default_to_dict(self, model=str(folder), top_k=self.top_k)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GlaneRanker:
        """Return the component that `to_dict` told of."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best documents, best first, each a copy with its score, as `documents`.

        Args:
            query: Any string.
            documents: Any that have text; equal scores keep their order.
            top_k: Documents wanted, at least 1; None stands for the component's.

        Raises:
            ValueError: If a document has no text, or `top_k` is below 1.
        """
        k = self.top_k if top_k is None else check_k(top_k, "top_k")
        ranked = self._loaded().rerank(query, [_text(each) for each in documents], k)
        return {"documents": [replace(documents[place], score=score) for place, score in ranked]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return what `run` does, from a thread."""
        return await asyncio.to_thread(self.run, query, documents, top_k)

    def _loaded(self) -> TextReranker:
        with self._guard:
            if self._reranker is None:
                self._reranker = open_reranker(self.model)
            return self._reranker


def _text(document: Document) -> str:
    if document.content is None:
        raise ValueError(f"document {document.id!r} has no text to be ordered by; leave it out")
    return document.content


SIGNS = {"==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
"""Haystack's comparisons with one value, and glane's."""


def condition(filters: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Return Haystack's filters as `Search.search` takes them.

    Args:
        filters: A comparison or a logical condition; `meta.year` and `year` are the same field.
        types: The fields that the index filters by.

    Raises:
        ValueError: If they are not of Haystack's form, or have no counterpart.
    """
    match filters:
        case {"operator": "AND", "conditions": [*parts]}:
            return {"and": [condition(part, types) for part in parts]}
        case {"operator": "OR", "conditions": [*parts]}:
            return {"or": [condition(part, types) for part in parts]}
        case {"operator": "NOT", "conditions": [*parts]}:
            return {"not": {"and": [condition(part, types) for part in parts]}}
        case {"field": str(field), "operator": str(sign), "value": value}:
            return _comparison(
                field if field in types else field.removeprefix("meta."), sign, value
            )
    raise ValueError(
        "filters must have `field`, `operator` and `value`, or `operator` (AND, OR, NOT) and "
        f"`conditions`, got {filters!r:.200}"
    )


def _comparison(field: str, sign: str, value: object) -> dict[str, Any]:
    missing = {"not": {field: {"exists": True}}}
    match sign, value:
        case "in", [*several]:
            present = {field: {"in": [each for each in several if each is not None]}}
            return {"or": [present, missing]} if None in several else present
        case "not in", [*_]:
            return {"not": _comparison(field, "in", value)}
        case (("==" | "!="), None):
            return missing if sign == "==" else {field: {"exists": True}}
        case ((">" | ">=" | "<" | "<="), None):
            return {"or": []}  # as Haystack has it: nothing is above or below None
        case _ if sign in SIGNS:
            return {field: {SIGNS[sign]: value}}
    raise ValueError(
        f"a filter of {field!r} by {sign!r} of {value!r:.60} is none of Haystack's: there are "
        f"{list(SIGNS)}, and `in` and `not in` with a list"
    )
