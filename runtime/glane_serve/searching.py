"""The routes that search an index, and explain what was found."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from glane.retrievers.explaining import Explains
from glane_serve.answer import Asked, answer, check
from glane_serve.bodies import SearchBody
from glane_serve.documents import EXAMPLE, example, known
from glane_serve.parsing import parse
from glane_serve.refusals import asked
from glane_serve.responses import Json
from glane_serve.service import Service
from glane_serve.strict import StrictRoute

HIT = {
    "id": "leaf",
    "score": 1.25,
    "title": "Leaves",
    "passage": {"text": "Plants eat light.", "marks": [[0, 6]]},
    "document": EXAMPLE,
}
FOUND = {"query": "what do plants eat", "hits": [HIT], "n_documents": 2, "generation": 1}


def routes(service: Service) -> APIRouter:
    """Return the routes of the index that a service has."""
    router = APIRouter(route_class=StrictRoute, tags=["index"])

    @router.post("/search", responses=example(FOUND), summary="Search the index")
    async def search(body: SearchBody) -> Json:
        wanted = Asked(**dict(body))
        check(wanted, service.settings.limits)
        return Json(await service.read(lambda view: _found(service, view, wanted)))

    @router.get("/explain", responses=example({}), summary="Why a document stands where it does")
    async def explain(
        query: Annotated[str, Query(examples=["what do plants eat"])],
        id: Annotated[str, Query(description="Of a stored document.", examples=["leaf"])],
        filter: str | None = None,
        fuse: Literal["none", "rrf", "relative"] | None = None,
        fuse_weight: Annotated[float | None, Query(ge=0, le=1)] = None,
        candidates: Annotated[int | None, Query(ge=1)] = None,
        prune: Annotated[int | None, Query(ge=1)] = None,
        k: Annotated[int, Query(ge=1)] = 10,
    ) -> Json:
        said = parse(filter.encode()) if filter and filter.startswith("{") else filter
        wanted = Asked(
            query=query,
            k=k,
            filter=said,
            fuse=fuse,
            fuse_weight=fuse_weight,
            candidates=candidates,
            prune=prune,
        )
        check(wanted, service.settings.limits)
        return Json(await service.read(lambda view: _explained(view, wanted, id)))

    return router


def _found(service: Service, view: Explains, wanted: Asked) -> Any:  # noqa: ANN401 (JSON)
    """Search, and return the answer."""
    told, timings = answer(view, wanted)
    service.metrics.stages(timings)
    return told


def _explained(view: Explains, wanted: Asked, id: str) -> Any:  # noqa: ANN401 (JSON)
    key = known(view, id)
    with asked():
        (query,) = wanted.texts()
        return view.explain(query, key, k=wanted.k, **wanted.options()).to_dict()
