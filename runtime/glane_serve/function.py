"""A function for events of an HTTP gateway (AWS's API Gateway and function URLs, both versions).

It needs the base install alone, and an index, which may lie on a file system that cannot be written
to: `GLANE_INDEX` names it, and then it is loaded when the module is.
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from glane.errors import GlaneError
from glane.search import Search
from glane_serve.answer import Asked, answer, check, of_index
from glane_serve.parsing import parse
from glane_serve.refusals import Refused, asked
from glane_serve.settings import Limits

INDEX = "GLANE_INDEX"
"""Of the environment: the folder of the index; "index" beside where it runs by default."""

LIMITS = Limits()
"""Those of the server where it is told of no others."""

KNOWN = tuple(field.name for field in fields(Asked))

LEAST = {"k": 1, "offset": 0, "candidates": 1, "prune": 1}
FLAGS = ("explain", "timings", "documents")
ALWAYS = ("k", "offset", *FLAGS)
"""What cannot be null."""


@cache
def _loaded() -> Search:
    """Load the index and its models, once."""
    search = Search.load(os.environ.get(INDEX, "index"), threads=1)
    search.search(["warm"], k=1)
    return search


if INDEX in os.environ:
    _loaded()  # while the function is set up, not at its first event


def handler(event: Mapping[str, Any], _: object = None) -> dict[str, Any]:
    """Answer one event: POST /search with the server's body, or GET /health.

    Returns:
        Status, headers and body, as the gateway has them; of 4xx and 503 the body is that of the
        server's errors.
    """
    context = event.get("requestContext") or {}
    try:
        return _answer(200, _found(event, context.get("http") or {}))
    except GlaneError as error:
        refused = Refused(503, str(error))
    except Refused as error:
        refused = error
    return _answer(refused.status, refused.told(context.get("requestId") or uuid.uuid4().hex))


def _found(event: Mapping[str, Any], http: Mapping[str, Any]) -> dict[str, Any]:
    method = event.get("httpMethod") or http.get("method")
    path = "/" + str(event.get("path") or event.get("rawPath") or "").strip("/").rpartition("/")[2]
    if (method, path) == ("GET", "/health"):
        return {"status": "ok", **of_index(_loaded().view())}
    if (method, path) != ("POST", "/search"):
        raise Refused(404, f"{method} {path}: expected POST /search or GET /health")
    wanted = _asked(event)
    check(wanted, LIMITS)
    told, _ = answer(_loaded().view(), wanted)
    return told


def _asked(event: Mapping[str, Any]) -> Asked:
    """Return what the event's body says.

    Raises:
        Refused: If it is no JSON object, or has a name or a type that is not expected.
    """
    text = event.get("body") or ""
    with asked():
        content = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    if not content:
        raise Refused(422, "the body is missing")
    body = parse(content)
    if not isinstance(body, dict):
        raise Refused(422, f"the body must be a JSON object, got {type(body).__name__}")
    if unknown := sorted(body.keys() - {*KNOWN}):
        raise Refused(422, f"unknown names {unknown}; known are {sorted(KNOWN)}")
    for name, value in body.items():
        if (value is not None or name in ALWAYS) and (expected := _lacking(name, value)):
            raise Refused(422, f"{name} must be {expected}, got {value!r:.100}")
    return Asked(**body)


def _lacking(name: str, value: object) -> str:
    """Return what a value of the body had to be, and is not; "" where it is."""
    if name in LEAST:
        fits = type(value) is int and value >= LEAST[name]
        return "" if fits else f"an integer, at least {LEAST[name]}"
    if name in FLAGS:
        return "" if type(value) is bool else "true or false"
    if name == "query":
        return "" if isinstance(value, str) else "a string"
    if name == "queries":
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return "" if fits else "a list of strings"
    return ""  # the library tells


def _answer(status: int, content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(content),
        "isBase64Encoded": False,
    }
