"""The routes that search an index, and explain what was found."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from glane.hits import Key
from glane.retrievers.explaining import Explains
from glane_serve.answer import Wanted, answered, of_index
from glane_serve.bodies import Ranked, SearchBody
from glane_serve.documents import EXAMPLE, example, known
from glane_serve.refusals import Json, Refused, asked
from glane_serve.service import Service
from glane_serve.strict import StrictRoute, parse

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
        queries = _queries(body, service)
        view = service.index().view()
        return Json(await service.compute(_found, service, view, body, queries))

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
        asked_for = Ranked(
            k=k,
            offset=0,
            filter=said,
            fuse=fuse,
            fuse_weight=fuse_weight,
            candidates=candidates,
            prune=prune,
        )
        _check_query(query, service)
        view = service.index().view()
        key = await service.compute(known, view, id)
        return Json(await service.compute(_explained, service, view, query, key, asked_for))

    return router


def _queries(body: SearchBody, service: Service) -> list[str]:
    limits = service.settings.limits
    if (body.query is None) == (body.queries is None):
        raise Refused(422, "pass either query or queries")
    queries = [body.query] if body.query is not None else body.queries or []
    if len(queries) > limits.queries:
        raise Refused(413, f"got {len(queries)} queries; at most {limits.queries} are taken")
    for query in queries:
        _check_query(query, service)
    n_hits = len(queries) * (body.k + body.offset)
    if n_hits > limits.k:
        raise Refused(422, f"{n_hits} hits of all queries; at most {limits.k} may be asked for")
    if body.explain and n_hits > limits.explained:
        most = limits.explained
        raise Refused(422, f"{n_hits} hits of all queries; at most {most} may be explained")
    return queries


def _check_query(query: str, service: Service) -> None:
    most = service.settings.limits.query
    if len(query) > most:
        raise Refused(413, f"the query has {len(query)} characters; at most {most} are taken")


def _options(body: Ranked, service: Service) -> dict[str, Any]:
    """Return what a search is asked for besides queries and number."""
    most = service.settings.limits.k
    for name, number in (("k and offset", body.k + body.offset), ("candidates", body.candidates)):
        if number is not None and number > most:
            raise Refused(422, f"{name} may be {most} at most, got {number}")
    given = body.filter if isinstance(body.filter, str) else json.dumps(body.filter or "")
    most = service.settings.limits.filter
    if len(given) > most:
        raise Refused(413, f"the filter has {len(given)} characters; at most {most} are taken")
    return {
        "candidates": body.candidates,
        "fuse": body.fuse,
        "fuse_weight": body.fuse_weight,
        "prune": body.prune,
        "filter": body.filter,
    }


def _found(service: Service, view: Explains, body: SearchBody, queries: list[str]) -> Any:  # noqa: ANN401 (JSON)
    """Search, and return the answer."""
    wanted = Wanted(body.k, body.offset, _options(body, service), body.explain, body.documents)
    with asked():
        answers, timings = answered(view, queries, wanted)
    service.metrics.stages(timings)
    return {
        **(answers[0] if body.query is not None else {"queries": answers}),
        **of_index(view),
        **({"timings": timings} if body.timings else {}),
    }


def _explained(service: Service, view: Explains, query: str, key: Key, asked_for: Ranked) -> Any:  # noqa: ANN401 (JSON)
    with asked():
        options = _options(asked_for, service)
        return view.explain(query, key, k=asked_for.k, **options).to_dict()
