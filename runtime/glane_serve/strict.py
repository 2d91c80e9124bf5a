"""Routes whose bodies are read as JSON is defined."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from glane_serve.parsing import parse
from glane_serve.refusals import Refused


class StrictRequest(Request):
    """A request whose body is JSON in UTF-8."""

    async def json(self) -> Any:  # noqa: ANN401 (parsed JSON)
        """Return what the body says.

        Raises:
            HTTPException: With 400, if it is not JSON.
        """
        try:
            return parse(await self.body())
        except Refused as refused:  # FastAPI lets its own errors alone pass here
            raise HTTPException(refused.status, refused.message) from None


class StrictRoute(APIRoute):
    """A route whose body is read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
