"""The routes that encode texts as text-embeddings-inference does, and say what the model is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from glane.model.preparation import Role
from glane.retrievers.neural import Neural
from glane.retrievers.passages import plain
from glane.vectors import SparseVectors, TermEmbeddings, TokenVectors
from glane_serve.bodies import EmbedBody
from glane_serve.documents import example
from glane_serve.refusals import Refused, asked
from glane_serve.responses import Json
from glane_serve.service import Service
from glane_serve.strict import StrictRoute

SPARSE = ("splade", "sparse-embed")


def routes(service: Service) -> APIRouter:
    """Return the routes of the models that a service has."""
    router = APIRouter(route_class=StrictRoute, tags=["text-embeddings-inference"])

    @router.post(
        "/embed_sparse",
        responses=example([[{"index": 2054, "value": 1.31}]]),
        summary="Weights of terms, a list a text; 424 where no sparse model is served",
    )
    async def embed_sparse(body: EmbedBody) -> Json:
        return Json(await service.compute(_sparse, service, body))

    @router.post(
        "/embed_all",
        responses=example([[[0.1, -0.2], [0.3, 0.4]]]),
        summary="Token vectors, a matrix a text; 424 where no ColBERT is served",
    )
    async def embed_all(body: EmbedBody) -> Json:
        return Json(await service.compute(_all, service, body))

    @router.get("/info", tags=["state"], summary="What is served")
    async def info() -> Json:
        return Json(told(service))

    return router


def _sparse(service: Service, body: EmbedBody) -> list[list[dict[str, Any]]]:
    model = next((service.models[kind] for kind in SPARSE if kind in service.models), None)
    if model is None:
        raise Refused(424, f"no SPLADE or SparseEmbed is served here, but {_served(service)}")
    encoded = _encoded(service, model, body)
    vectors = encoded.terms if isinstance(encoded, TermEmbeddings) else encoded
    assert isinstance(vectors, SparseVectors)
    return [
        [
            {"index": term, "value": weight}
            for term, weight in zip(*_row(vectors, number), strict=True)
        ]
        for number in range(len(vectors))
    ]


def _row(vectors: SparseVectors, number: int) -> tuple[Any, Any]:
    one = vectors[number : number + 1]
    return one.indices.tolist(), one.values.tolist()


def _all(service: Service, body: EmbedBody) -> list[list[list[float]]]:
    model = service.models.get("colbert")
    if model is None:
        raise Refused(424, f"no ColBERT is served here, but {_served(service)}")
    encoded = _encoded(service, model, body)
    assert isinstance(encoded, TokenVectors)
    return [encoded[row : row + 1].values.tolist() for row in range(len(encoded))]


def _encoded(service: Service, model: Neural[Any, Any], body: EmbedBody) -> Any:  # noqa: ANN401 (rows)
    """Encode the texts of a request, in the role that it names.

    Raises:
        Refused: If there are none, too many, or one is longer than may be.
    """
    limits = service.settings.limits
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    if not texts:
        raise Refused(400, "inputs must hold at least one text", kind="Empty")
    if len(texts) > limits.inputs:
        raise Refused(413, f"got {len(texts)} inputs; at most {limits.inputs} are taken")
    longest = max(map(len, texts))
    if longest > limits.text:
        raise Refused(413, f"an input has {longest} characters; at most {limits.text} are taken")
    role: Role = "query" if body.prompt_name == "query" else "document"
    if body.truncate is False:
        _refuse_cut(model, texts, role)
    with asked():
        encode = model.encode_queries if role == "query" else model.encode_documents
        encoded = encode(texts)
    service.metrics.texts("encoded", len(texts))
    return encoded


def _refuse_cut(model: Neural[Any, Any], texts: list[str], role: Role) -> None:
    preparer = model.encoder.preparer
    for number, text in enumerate(texts):
        if preparer.tokenize([text], role).n_truncated:
            most = preparer.frames[role].length
            raise Refused(413, f"input {number} has more than {most} tokens, and truncate is false")


def _served(service: Service) -> str:
    return " and ".join(sorted(service.models)) or "no model"


def told(service: Service) -> dict[str, Any]:
    """Return what is served, by the names that text-embeddings-inference has and a few more."""
    limits = service.settings.limits
    model = next(iter(service.models.values()), None)
    said: dict[str, Any] = {
        "model_id": service.settings.model or service.settings.index,
        "model_sha": None,
        "model_dtype": None,
        "model_type": {},
        "max_concurrent_requests": limits.concurrent,
        "max_client_batch_size": limits.inputs,
        "auto_truncate": True,
        "version": version("glane"),
        "models": {
            kind: {
                "fingerprint": each.encoder.fingerprint,
                "precision": each.encoder.info.precision,
                "max_input_length": each.encoder.preparer.frames["document"].length,
            }
            for kind, each in service.models.items()
        },
    }
    if model is not None:
        encoder = model.encoder
        said |= {
            "model_sha": encoder.fingerprint,
            "model_dtype": encoder.info.precision,
            "model_type": {
                "reranker": {"id2label": {"0": "relevance"}, "label2id": {"relevance": 0}}
            },
            "max_input_length": encoder.preparer.frames["document"].length,
        }
    if service.search is not None:
        view = service.search.view()
        said["index"] = {
            "n_documents": len(view),
            "key": view.key,
            "on": view.on,
            "fields": view.types,
            "stages": {place: type(plain(each)).__name__ for place, each in view.stages().items()},
            "reranks": view.reranker is not None,
            "keeps_documents": view.kept is not None,
            "read_only": service.writer is None,
        }
    return said
