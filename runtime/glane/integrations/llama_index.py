"""Search, reranking and sparse embeddings as LlamaIndex's classes.

>>> from glane.integrations.llama_index import GlaneRetriever  # doctest: +SKIP
>>> GlaneRetriever("index", k=3).retrieve("how do plants eat light")  # doctest: +SKIP
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from glane.hits import check_k
from glane.integrations import missing
from glane.integrations.found import Filter, find, open_reranker, open_search
from glane.retrievers.splade import Splade
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search
from glane.vectors import SparseVectors

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
    from llama_index.core.bridge.pydantic import ConfigDict, field_serializer
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import (
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
    )
except ModuleNotFoundError as error:
    raise missing("llama-index-core", "llama_index", error) from None


class GlaneRetriever(BaseRetriever):
    """The best documents of an index, as nodes.

    A node's text is what is searched of the document; its other fields are the metadata, with the
    id under the name of the index's key. The metadata is no part of what a reranker reads.

    Attributes:
        index: What is searched; `index.refresh()` takes the newest state of its folder.
        k: Documents wanted.
        filter: Which documents may be found.
    """

    def __init__(
        self,
        index: str | Path | Search,
        *,
        k: int = 10,
        filters: MetadataFilters | Filter | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Open an index.

        Args:
            index: Its folder, or a search.
            k: Documents wanted, at least 1.
            filters: Which documents may be found: LlamaIndex's, or as `Search.search` takes them.
            callback_manager: LlamaIndex's own.

        Raises:
            CheckpointError: If the index is missing or damaged.
            ValueError: If it keeps no documents, `k` is below 1, or a filter has no counterpart.
        """
        super().__init__(callback_manager=callback_manager)
        self.index = open_search(index)
        self.k = check_k(k)
        self.filter = condition(filters) if isinstance(filters, MetadataFilters) else filters

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        nodes = []
        for hit in find(self.index, query_bundle.query_str, self.k, self.filter):
            node = TextNode(
                id_=hit.id,
                text=hit.text,
                metadata=hit.metadata,
                excluded_embed_metadata_keys=list(hit.metadata),
                excluded_llm_metadata_keys=[self.index.key],
            )
            nodes.append(NodeWithScore(node=node, score=hit.score))
        return nodes

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class GlaneReranker(BaseNodePostprocessor):
    """Orders the nodes of any retriever by a model of glane.

    It reads what an embedding model would: a node's text, with the metadata that is not excluded
    from embeddings.

    Attributes:
        model: What scores; it keeps what it encoded, so that no text is encoded twice.
        k: Nodes wanted, at least 1; None for all that are given.
    """

    model: TextReranker
    k: int | None

    def __init__(
        self,
        model: str | Path | TextReranker,
        *,
        k: int | None = None,
        **settings: Any,  # noqa: ANN401 (LlamaIndex's own)
    ) -> None:
        """Load a model.

        Args:
            model: Its folder, or a `TextReranker`.
            k: Nodes wanted, at least 1; None for all that are given.
            settings: LlamaIndex's own: callback_manager.

        Raises:
            CheckpointError: If the model is missing or damaged.
            ValueError: If `k` is below 1.
        """
        own: dict[str, Any] = {
            "model": open_reranker(model),
            "k": None if k is None else check_k(k),
        }
        super().__init__(**settings, **own)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes down."""
        return "GlaneReranker"

    @field_serializer("model")
    def _folder(self, model: TextReranker) -> str:
        return str(model.folder)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("nodes are ordered for a query, got none; pass query_str")
        texts = [each.node.get_content(metadata_mode=MetadataMode.EMBED) for each in nodes]
        ranked = self.model.rerank(query_bundle.query_str, texts, self.k)
        return [NodeWithScore(node=nodes[place].node, score=score) for place, score in ranked]


class GlaneSparseEmbedding(BaseSparseEmbedding):
    """Weighted terms of a SPLADE model, by their numbers in its vocabulary.

    A text that is longer than the model reads is cut: one embedding is of one passage.

    Attributes:
        model: The model.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Splade

    def __init__(self, model: str | Path | Splade, **settings: Any) -> None:  # noqa: ANN401
        """Load a model.

        Args:
            model: Folder of a SPLADE model, or `Splade`.
            settings: LlamaIndex's own: embed_batch_size, num_workers.

        Raises:
            CheckpointError: If the model is missing, damaged, or of another kind.
        """
        splade = model if isinstance(model, Splade) else Splade.load(model)
        name = str(splade.encoder.folder)
        super().__init__(**{"model_name": name, **settings, "model": splade})

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes down."""
        return "GlaneSparseEmbedding"

    @field_serializer("model")
    def _folder(self, model: Splade) -> str:
        return str(model.encoder.folder)

    def _get_query_embedding(self, query: str) -> dict[int, float]:
        return _weights(self.model.encode_queries([query]))[0]

    async def _aget_query_embedding(self, query: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> dict[int, float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[dict[int, float]]:
        return _weights(self.model.encode_documents(texts))

    async def _aget_text_embeddings(self, texts: list[str]) -> list[dict[int, float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def _weights(vectors: SparseVectors) -> list[dict[int, float]]:
    rows = [vectors[row : row + 1] for row in range(len(vectors))]
    return [dict(zip(r.indices.tolist(), r.values.tolist(), strict=True)) for r in rows]


def condition(filters: MetadataFilters) -> dict[str, Any]:
    """Return LlamaIndex's filters as `Search.search` takes them.

    Args:
        filters: Any; without one among them, all documents are kept.

    Raises:
        ValueError: If an operator has no counterpart, such as a match within a text.
    """
    parts = [
        condition(each) if isinstance(each, MetadataFilters) else _comparison(each)
        for each in filters.filters
    ]
    if not parts or filters.condition in (None, FilterCondition.AND):
        return {"and": parts}
    joined = {"or": parts}
    return joined if filters.condition == FilterCondition.OR else {"not": joined}


SIGNS = {
    FilterOperator.EQ: "=",
    FilterOperator.CONTAINS: "=",
    **{each: each.value for each in (FilterOperator.NE, FilterOperator.IN)},
    **{each: each.value for each in (FilterOperator.GT, FilterOperator.GTE)},
    **{each: each.value for each in (FilterOperator.LT, FilterOperator.LTE)},
    FilterOperator.ANY: "in",
}
"""LlamaIndex's operators that are comparisons of glane."""


def _comparison(given: MetadataFilter) -> dict[str, Any]:
    field, value = given.key, given.value
    match given.operator:
        case FilterOperator.IS_EMPTY:
            return {"not": {field: {"exists": True}}}
        case FilterOperator.NIN if isinstance(value, list):
            return {"not": {field: {"in": value}}}
        case FilterOperator.ALL if isinstance(value, list):
            return {"and": [{field: {"=": each}} for each in value]}
        case sign if sign in SIGNS:
            return {field: {SIGNS[sign]: value}}
    raise ValueError(
        f"a filter of {field!r} by {given.operator.value!r} of {value!r:.60} cannot be kept by "
        f"glane; it knows {[each.value for each in SIGNS]}, and nin, all and is_empty"
    )
