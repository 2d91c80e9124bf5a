"""Search and reranking as LangChain's retriever and document compressor.

>>> from glane.integrations.langchain import GlaneRetriever  # doctest: +SKIP
>>> GlaneRetriever("index", k=3).invoke("how do plants eat light")  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glane.hits import check_k
from glane.integrations import missing
from glane.integrations.found import Filter, find, open_reranker, open_search
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
        Callbacks,
    )
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict
except ModuleNotFoundError as error:
    raise missing("langchain-core", "langchain_core", error) from None

SCORE = "relevance_score"
"""Where the score stands in a document's metadata, as LangChain's own rerankers have it."""


class GlaneRetriever(BaseRetriever):
    """The best documents of an index.

    A document's text is what is searched of it; its other fields are the metadata, with the id
    under the name of the index's key and the score as `relevance_score`. `invoke` and `ainvoke`
    take `k` and `filter` for one question.

    Attributes:
        index: What is searched; `index.refresh()` takes the newest state of its folder.
        k: Documents wanted, at least 1.
        filter: Which documents may be found, as `Search.search` takes it; None for all.
    """

    index: Search
    k: int
    filter: str | dict[str, Any] | None

    def __init__(
        self,
        index: str | Path | Search,
        *,
        k: int = 10,
        filter: Filter | None = None,
        **settings: Any,  # noqa: ANN401 (LangChain's own: tags, metadata, name)
    ) -> None:
        """Open an index.

        Args:
            index: Its folder, or a search.
            k: Documents wanted, at least 1.
            filter: Which documents may be found, as `Search.search` takes it.
            settings: LangChain's own: tags, metadata, name.

        Raises:
            CheckpointError: If the index is missing or damaged.
            ValueError: If it keeps no documents, or `k` is below 1.
        """
        own: dict[str, Any] = {"index": open_search(index), "k": check_k(k), "filter": filter}
        super().__init__(**settings, **own)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        return self._found(query, k, filter)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        return await asyncio.to_thread(self._found, query, k, filter)

    def _found(self, query: str, k: int | None, filter: Filter | None) -> list[Document]:
        k = self.k if k is None else k
        found = find(self.index, query, k, self.filter if filter is None else filter)
        return [
            Document(id=hit.id, page_content=hit.text, metadata={**hit.metadata, SCORE: hit.score})
            for hit in found
        ]


class GlaneReranker(BaseDocumentCompressor):
    """Orders the documents of any retriever by a model of glane.

    Attributes:
        model: What scores; it keeps what it encoded, so that no text is encoded twice.
        k: Documents wanted, at least 1; None for all that are given.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: TextReranker
    k: int | None

    def __init__(self, model: str | Path | TextReranker, *, k: int | None = None) -> None:
        """Load a model.

        Args:
            model: Its folder, or a `TextReranker`.
            k: Documents wanted, at least 1; None for all that are given.

        Raises:
            CheckpointError: If the model is missing or damaged.
            ValueError: If `k` is below 1.
        """
        own: dict[str, Any] = {
            "model": open_reranker(model),
            "k": None if k is None else check_k(k),
        }
        super().__init__(**own)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the best documents, best first, each a copy with its score in the metadata.

        Args:
            documents: Any; equal scores keep their order.
            query: Any string.
            callbacks: Not used.
        """
        ranked = self.model.rerank(query, [each.page_content for each in documents], self.k)
        return [_scored(documents[place], score) for place, score in ranked]


def _scored(document: Document, score: float) -> Document:
    return document.model_copy(update={"metadata": {**document.metadata, SCORE: score}})
