"""Reading JSON as it is defined: UTF-8, finite numbers, not nested beyond reason."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute


class StrictRequest(Request):
    """A request whose body is JSON in UTF-8."""

    async def json(self) -> Any:  # noqa: ANN401 (parsed JSON)
        """Return what the body says.

        Raises:
            HTTPException: With 400, if it is not JSON.
        """
        return parse(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def parse(body: bytes) -> Any:  # noqa: ANN401 (parsed JSON)
    """Return what bytes of JSON say.

    Raises:
        HTTPException: With 400, if they are no JSON in UTF-8, or have a number that is not finite.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not UTF-8: {error}") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond the range of numbers")
    return number
