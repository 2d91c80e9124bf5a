"""Answers of the server, as Starlette sends them."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import Response

from glane_serve.refusals import Refused


class Json(Response):
    """JSON in ASCII, so that any string can be in it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 (anything that JSON holds)
        """Return the bytes."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def refusal(refused: Refused, request_id: str | None) -> Json:
    """Return what is answered where a request is refused."""
    return Json(refused.told(request_id), refused.status, refused.headers)
