"""The bodies of requests, as OpenAPI tells them; what is more than a limit is refused later."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A body: unknown names are refused, and numbers are not made of strings."""

    model_config = ConfigDict(extra="forbid", strict=True)


class SearchBody(Body):
    """A search, of one query or several."""

    query: str | None = Field(None, examples=["vitamin d and bone density"])
    queries: list[str] | None = None
    k: int = Field(10, ge=1, description="Hits wanted.")
    offset: int = Field(0, ge=0, description="Best hits that are passed over, for a next page.")
    filter: str | dict[str, Any] | None = Field(
        None,
        description="Which documents may be found, by the fields that the index was told of.",
        examples=['year >= 2020 and lang = "de"', {"year": {">=": 2020}, "lang": "de"}],
    )
    fuse: Literal["none", "rrf", "relative"] | None = Field(
        None, description="How the two stages' rankings become one; by default the index's way."
    )
    fuse_weight: float | None = Field(None, ge=0, le=1, description="The retriever's share in it.")
    candidates: int | None = Field(None, ge=1, description="Documents that are reranked.")
    prune: int | None = Field(
        None, ge=1, description="Candidates reranked at a time, until some leave the answer as is."
    )
    explain: bool = Field(False, description="Whether each hit tells what its score is made of.")
    timings: bool = Field(False, description="Whether the answer tells what each stage took.")
    documents: bool = Field(True, description="Whether hits hold the documents, where kept.")


class DocumentsBody(Body):
    """Documents to store: each with the index's key and fields; a known id is replaced."""

    documents: list[dict[str, Any]] = Field(
        examples=[[{"id": "leaf", "title": "Leaves", "text": "Plants eat light."}]]
    )


class Lenient(BaseModel):
    """A body of another's clients, which may say more than is known here."""

    model_config = ConfigDict(extra="ignore")


class RerankBody(Lenient):
    """Texts to rerank, as Cohere, Jina (`documents`) or TEI (`texts`) say it."""

    query: str = Field(examples=["what do plants eat"])
    documents: list[str | dict[str, Any]] | None = Field(
        None, examples=[["Plants eat light.", "Rivers run to the sea."]]
    )
    texts: list[str] | None = Field(None, description="TEI's name; the answer is then TEI's.")
    model: str | None = None
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = False
    raw_scores: bool = False
    return_text: bool = False


class EmbedBody(Lenient):
    """Texts to encode, as TEI has it."""

    inputs: str | list[str] = Field(examples=["Plants eat light."])
    truncate: bool | None = Field(None, description="False refuses what the model would cut.")
    prompt_name: Literal["query", "document"] | None = Field(
        None, description="What the texts are; document by default."
    )
