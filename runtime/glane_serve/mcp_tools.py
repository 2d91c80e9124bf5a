"""The tools that an agent gets: search, explain and rerank, each answered in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from glane.collection.ids import as_stored
from glane.hits import Key
from glane.model.preparation import clean
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search
from glane.threads import Guard

AT_ONCE = 4
"""Calls that compute at once; others wait, as part of their time."""

Query = Annotated[str, Field(description="What to look for, in plain words.")]
Filter = Annotated[
    str | dict[str, Any] | None,
    Field(
        description="Which documents may be found, by the fields that can be filtered by: such as "
        '\'year >= 2020 and lang in ("de", "en")\'.'
    ),
]
Found = Annotated[int, Field(ge=1, le=1000, description="Documents wanted.")]
Id = Annotated[str | int, Field(description="Id of a document, as search gives it.")]
Texts = Annotated[list[str], Field(description="The texts to order, however long.")]
Best = Annotated[int | None, Field(ge=1, description="Texts wanted; null for all.")]


class Tools:
    """What the tools answer, of the newest state of an index.

    Attributes:
        search: Of the index.
        seconds: After which a call is given up.
    """

    def __init__(self, search: Search, seconds: float) -> None:
        """Answer from an index.

        Args:
            search: Loaded from its folder.
            seconds: After which a call is answered with an error, above 0.
        """
        self.search, self.seconds = search, seconds
        self._reranker: TextReranker | None = None
        self._guard = Guard()
        self._threads = ThreadPoolExecutor(AT_ONCE, "tool")

    async def answer(self, call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return what a call returns, computed in a thread, which goes on where time runs out.

        Raises:
            ToolError: If the call fails, or takes too long.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.seconds):
                return await loop.run_in_executor(self._threads, call, *arguments)
        except TimeoutError:
            raise ToolError(
                f"this took more than {self.seconds:g} seconds, and was given up; ask for less, or "
                "start `glane mcp` with a longer --timeout"
            ) from None
        except (ValueError, TypeError, OSError, MemoryError) as error:
            raise ToolError(clean(str(error)) or type(error).__name__) from error

    def found(self, query: str, k: int, filter: str | dict[str, Any] | None) -> dict[str, Any]:
        """Return the best documents; title and passage are null where documents are not kept."""
        self.search.refresh()
        view = self.search.view()
        results = view.search([query], k, filter=filter)
        keys, scores = results.ids[0], results.scores[0]
        hits = [
            {"id": key, "score": score, "title": None, "passage": None}
            for key, score in zip(keys, scores, strict=True)
        ]
        if view.kept is not None:
            for hit, excerpt in zip(hits, view.excerpts(query, keys), strict=True):
                hit |= {"title": excerpt.title, "passage": excerpt.text}
        return _as_json({"query": query, "hits": hits})

    def explained(self, query: str, id: Key) -> dict[str, Any]:
        """Return why a document stands where it does; 7 and "7" find the same one."""
        self.search.refresh()
        view = self.search.view()
        (key,) = as_stored(view.keys, [id])
        return _as_json(view.explain(query, key).to_dict())

    def reranked(self, query: str, texts: Sequence[str], k: int | None) -> dict[str, Any]:
        """Return the places and scores of the best texts, by the index's reranker.

        Raises:
            ValueError: If it has none.
        """
        self.search.refresh()
        ranked = self._own_reranker().rerank(query, texts, k)
        results = [{"index": place, "score": score} for place, score in ranked]
        return _as_json({"query": query, "results": results})

    def _own_reranker(self) -> TextReranker:
        with self._guard:
            stage = self.search.reranker
            if stage is None:
                raise ValueError(
                    "this index has no reranker, so it cannot order texts; use search, or make the "
                    "index with --reranker"
                )
            if self._reranker is None or self._reranker.stage.encoder is not stage.encoder:
                self._reranker = TextReranker(stage)
            return self._reranker


def server(tools: Tools) -> MCPServer[Any]:
    """Return a server of the tools, which runs over standard input and output."""
    made: MCPServer[Any] = MCPServer(
        "glane", instructions=_told(tools.search), version=version("glane"), log_level="WARNING"
    )

    @made.tool()
    async def search(query: Query, k: Found = 10, filter: Filter = None) -> dict[str, Any]:
        """Search the index: the best documents, each with id, score, title and best passage."""
        return await tools.answer(tools.found, query, k, filter)

    @made.tool()
    async def explain(query: Query, id: Id) -> dict[str, Any]:
        """Tell why a document was found: what each word adds, where it stands, and its text."""
        return await tools.answer(tools.explained, query, id)

    @made.tool()
    async def rerank(query: Query, texts: Texts, k: Best = None) -> dict[str, Any]:
        """Order texts of your own by how well they answer a query, best first."""
        return await tools.answer(tools.reranked, query, texts, k)

    return made


def _told(search: Search) -> str:
    """Return what an agent is told of the index when it connects."""
    fields = [f"{name} ({type})" for name, type in search.types.items()]
    filters = f"Filter by {', '.join(fields)}." if fields else "There are no fields to filter by."
    return f"An index of {len(search)} documents, searched by {', '.join(search.on)}. {filters}"


def _as_json(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what is no Unicode, which the protocol cannot carry."""
    made: dict[str, Any] = json.loads(clean(json.dumps(answer, ensure_ascii=False)))
    return made
