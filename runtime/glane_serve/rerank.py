"""The routes that rerank texts, in the shapes of Cohere, Jina and text-embeddings-inference."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter

from glane.model.encoder import Encoder
from glane_serve.bodies import RerankBody
from glane_serve.documents import example
from glane_serve.refusals import Refused, asked
from glane_serve.responses import Json
from glane_serve.service import Service
from glane_serve.strict import StrictRoute

TEXT = "text"
"""Field of a document that is an object, as Cohere's first version and Jina have it."""

ANSWER = {
    "id": "2f6f4f2c7e0f4d0f8a3f7f1f0a5e9c11",
    "model": "glane",
    "results": [{"index": 0, "relevance_score": 0.83}, {"index": 1, "relevance_score": 0.41}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}


def routes(service: Service) -> APIRouter:
    """Return the routes of the model that a service reranks with."""
    router = APIRouter(route_class=StrictRoute, tags=["rerank"])

    @router.post("/v2/rerank", responses=example(ANSWER), summary="As Cohere's second version")
    async def second(body: RerankBody) -> Json:
        return Json(await service.compute(_results, service, body, "2"))

    @router.post("/v1/rerank", responses=example(ANSWER), summary="As Cohere's first, and Jina's")
    async def first(body: RerankBody) -> Json:
        return Json(await service.compute(_results, service, body, "1"))

    @router.post(
        "/rerank",
        responses=example(ANSWER),
        summary="As TEI where the body has texts, as Jina where it has documents",
    )
    async def either(body: RerankBody) -> Json:
        answer = _results if body.texts is None else _ranks
        return Json(await service.compute(answer, service, body, "1"))

    return router


def _results(service: Service, body: RerankBody, version: str) -> dict[str, Any]:
    """Return the answer of Cohere and Jina."""
    texts = _texts(body.documents, "documents")
    ranked = _ranked(service, body.query, texts, relevant=True)[: body.top_n]
    return {
        "id": uuid.uuid4().hex,
        "model": service.reranker().stage.encoder.folder.name,  # type: ignore[union-attr]
        "results": [
            {
                "index": place,
                "relevance_score": score,
                **({"document": {TEXT: texts[place]}} if body.return_documents else {}),
            }
            for place, score in ranked
        ],
        "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
    }


def _ranks(service: Service, body: RerankBody, _: str) -> list[dict[str, Any]]:
    """Return the answer of text-embeddings-inference."""
    texts = _texts(body.texts, "texts")
    ranked = _ranked(service, body.query, texts, relevant=not body.raw_scores)
    return [
        {
            "index": place,
            "score": score,
            **({TEXT: texts[place]} if body.return_text else {}),
        }
        for place, score in ranked
    ]


def _texts(given: Sequence[str | dict[str, Any]] | None, name: str) -> list[str]:
    """Return the texts of a request.

    Raises:
        Refused: If there are none, or one has no text.
    """
    if given is None:
        raise Refused(422, "body.documents: pass the texts to rerank")
    if not given:
        raise Refused(400, f"{name} must hold at least one text", kind="Empty")
    texts = []
    for place, each in enumerate(given):
        text = each if isinstance(each, str) else each.get(TEXT)
        if not isinstance(text, str):
            raise Refused(422, f"body.{name}.{place}: a document is a string, or has one as {TEXT}")
        texts.append(text)
    return texts


def _ranked(
    service: Service, query: str, texts: list[str], *, relevant: bool
) -> list[tuple[int, float]]:
    """Return place and score of each text, best first."""
    limits, reranker = service.settings.limits, service.reranker()
    if len(texts) > limits.texts:
        raise Refused(413, f"got {len(texts)} texts; at most {limits.texts} are taken")
    for what, length, most in (
        ("the query", len(query), limits.query),
        ("a text", max(map(len, texts)), limits.text),
    ):
        if length > most:
            raise Refused(413, f"{what} has {length} characters; at most {most} are taken")
    with asked():
        ranked = reranker.rerank(query, texts)
    service.metrics.texts("reranked", len(texts))
    if not relevant:
        return ranked
    encoder = reranker.stage.encoder
    assert encoder is not None, "a text is scored by a model"
    scale = _scale(encoder, query)
    return [(place, scale(score)) for place, score in ranked]


def _scale(encoder: Encoder, query: str) -> Any:  # noqa: ANN401 (a function)
    """Return what brings a score into [0, 1], in the same order.

    ColBERT's is the mean, over the tokens of the query, of the largest similarity, 0 where that is
    below; a score of terms, which has no bound, becomes score / (1 + score).
    """
    if encoder.checkpoint.kind == "colbert":
        n_tokens = int(encoder.preparer.read(query, "query").counts.sum())
        return lambda score: float(np.clip(score / max(1, n_tokens), 0, 1))
    return lambda score: max(0.0, score) / (1 + max(0.0, score))
