"""The application: its routes, its page, and what it answers where something goes wrong."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from glane.errors import GlaneError
from glane_serve import documents, embed, rerank, searching
from glane_serve.connections import LIMITS
from glane_serve.gate import Gate
from glane_serve.logs import log_to_stderr
from glane_serve.refusals import Refused
from glane_serve.responses import Json, refusal
from glane_serve.service import Service
from glane_serve.settings import Limits, ServeSettings

LOG = logging.getLogger("glane.serve")

PAGE = Path(__file__).parent / "page.html"


def from_environment() -> FastAPI:
    """Return the application of a worker, which its parent left the settings to."""
    log_to_stderr()
    return application(Service(ServeSettings.from_environment()))


def application(service: Service) -> FastAPI:
    """Return the application of a service, which is warm then."""
    service.warm()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[dict[str, Limits]]:
        async with service:
            yield {LIMITS: service.settings.limits}

    app = FastAPI(
        title="glane",
        summary="Search, explain and rerank, on processors without a GPU.",
        version=version("glane"),
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _answer_errors(app, service)
    _add_state(app, service)
    if service.search is not None:
        _add_page(app)
        app.include_router(searching.routes(service))
        app.include_router(documents.routes(service))
    app.include_router(rerank.routes(service))
    app.include_router(embed.routes(service))
    settings = service.settings
    app.add_middleware(Gate, settings=settings, metrics=service.metrics)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id"],
        )
    return app


def _answer_errors(app: FastAPI, service: Service) -> None:
    def request_id(request: Request) -> str | None:
        return getattr(request.state, "request_id", None)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return refusal(error, request_id(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return refusal(Refused(422, f"{place}: {first['msg']}"), request_id(request))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        message = _told(app, service, request, error)
        refused = Refused(error.status_code, message, error.headers)
        return refusal(refused, request_id(request))

    @app.exception_handler(500)
    async def unforeseen(request: Request, _: Exception) -> Response:
        return refusal(Refused(500, "an error of the server's own"), request_id(request))

    @app.exception_handler(GlaneError)
    @app.exception_handler(OSError)
    async def broken(request: Request, error: GlaneError | OSError) -> Response:
        LOG.error("request %s failed: %s", request_id(request), error)
        return refusal(Refused(503, str(error)), request_id(request))


def _told(app: FastAPI, service: Service, request: Request, error: HTTPException) -> str:
    """Return what is told of an error of HTTP; of a path that is not there, which ones are."""
    if error.status_code == 400:
        return str(error.detail)
    message = f"{request.method} {request.url.path:.200}: {error.detail}"
    if error.status_code != 404:
        return message
    message += f"; there is {', '.join(app.openapi()['paths'])}"
    if service.search is not None:
        return message
    return f"{message}; a model alone is served here, and no index: `glane serve INDEX` serves one"


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["state"], summary="Whether the process answers")
    async def health() -> Json:
        return Json({"status": "ok"})

    @app.get("/ready", tags=["state"], summary="Whether it can search, rerank and write")
    async def ready() -> Json:
        if service.trouble is not None:
            raise Refused(503, service.trouble)
        return Json({"status": "ready"})

    @app.get("/metrics", tags=["state"], summary="Counts and histograms for Prometheus")
    async def metrics() -> Response:
        n_documents = 0 if service.search is None else len(service.search)
        text = service.metrics.text(n_documents)
        return Response(text, media_type=service.metrics.type)


def _add_page(app: FastAPI) -> None:
    """Serve the page, which may run and load nothing but what is in it."""
    page = PAGE.read_text(encoding="utf-8")
    own = [_hashed(page, tag) for tag in ("style", "script")]
    policy = (
        f"default-src 'none'; style-src {own[0]}; script-src {own[1]}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    @app.get("/", include_in_schema=False)
    async def home() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _hashed(page: str, tag: str) -> str:
    """Return the hash by which a policy lets the one element of that name in a page pass."""
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
