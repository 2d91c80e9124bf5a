"""The routes of an index's documents: read, written, deleted."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter

from glane.hits import Key
from glane.retrievers.explaining import Explains
from glane_serve.bodies import DocumentsBody
from glane_serve.refusals import Refused, asked
from glane_serve.responses import Json
from glane_serve.service import Service
from glane_serve.strict import StrictRoute
from glane_serve.writing import Writer, stored_key

EXAMPLE = {"id": "leaf", "title": "Leaves", "text": "Plants eat light."}


def example(content: Any) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401 (JSON)
    """Return what OpenAPI tells of a good answer."""
    return {200: {"content": {"application/json": {"example": content}}}}


def routes(service: Service) -> APIRouter:
    """Return the routes of the documents of a service's index."""
    router = APIRouter(route_class=StrictRoute, tags=["index"])

    @router.get("/documents/{id:path}", responses=example(EXAMPLE), summary="Return a document")
    async def document(id: str) -> Json:
        return Json(await service.read(lambda view: _document(view, id)))

    @router.post(
        "/documents",
        responses=example({"n_stored": 1}),
        summary="Store documents, on disk when this answers; one whose id is known replaces it",
    )
    async def store(body: DocumentsBody) -> Json:
        limits, documents = service.settings.limits, body.documents
        if len(documents) > limits.texts:
            raise Refused(413, f"got {len(documents)} documents; at most {limits.texts} are taken")
        with asked():
            n_stored = await asyncio.wrap_future(_writer(service).store(documents))
        service.metrics.texts("written", len(documents))
        return Json({"n_stored": n_stored})

    @router.delete(
        "/documents/{id:path}", responses=example({"deleted": True}), summary="Delete a document"
    )
    async def delete(id: str) -> Json:
        with asked():
            found = await asyncio.wrap_future(_writer(service).delete(id))
        if not found:
            raise Refused(404, f"no document has the id {id!r:.200}")
        return Json({"deleted": True})

    return router


def _document(view: Explains, id: str) -> Any:  # noqa: ANN401 (JSON)
    key = known(view, id)
    if view.kept is None:
        raise Refused(404, "the index does not keep its documents")
    (found,) = view.documents([key])
    return found


def known(view: Explains, id: str) -> Key:
    """Return the stored id that a request names.

    Raises:
        Refused: With 404, if there is none.
    """
    key = stored_key(view, id)
    if key is None:
        raise Refused(404, f"no document has the id {id!r:.200}")
    return key


def _writer(service: Service) -> Writer:
    """Return what writes.

    Raises:
        Refused: If nothing is written here.
    """
    if service.writer is None:
        raise Refused(403, "the server is read-only; start it without --read-only to write")
    return service.writer
