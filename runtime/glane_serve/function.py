"""A function for events of an HTTP gateway (AWS's API Gateway and function URLs, both versions).

It needs the base install alone, and an index, which may lie on a file system that cannot be written
to: `GLANE_INDEX` names it, and then it is loaded when the module is.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from glane.errors import GlaneError
from glane.search import Search
from glane_serve.answer import Wanted, answered, of_index

INDEX = "GLANE_INDEX"
"""Of the environment: the folder of the index; "index" beside where it runs by default."""

MOST = 1000
"""Hits that may be asked for, those that are passed over included."""

LONGEST = 10_000
"""Characters of a query, and of a filter."""

OPTIONS = ("filter", "fuse", "fuse_weight", "candidates", "prune")
KNOWN = {"query", "k", "offset", "explain", "documents", *OPTIONS}


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
        Status, headers and body, as the gateway has them; 4xx tells in `error` what was wrong.
    """
    http = (event.get("requestContext") or {}).get("http") or {}
    method = event.get("httpMethod") or http.get("method")
    path = "/" + str(event.get("path") or event.get("rawPath") or "").strip("/").rpartition("/")[2]
    if (method, path) not in (("POST", "/search"), ("GET", "/health")):
        return _answer(404, {"error": f"{method} {path}: expected POST /search or GET /health"})
    try:
        if method == "GET":
            return _answer(200, {"status": "ok", **of_index(_loaded().view())})
        return _answer(200, _found(_body(event)))
    except GlaneError as error:
        return _answer(503, {"error": str(error)})
    except RecursionError:
        return _answer(422, {"error": "what was asked is nested too deeply"})
    except (TypeError, ValueError) as error:
        return _answer(422, {"error": " ".join(str(error).split())})


def _body(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the event's body says.

    Raises:
        ValueError: If it is no JSON object, or has names that are not known.
    """
    text = event.get("body") or ""
    content = base64.b64decode(text) if event.get("isBase64Encoded") else text
    try:
        body = json.loads(content)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(body, dict):
        raise ValueError(f"the body must be a JSON object, got {type(body).__name__}")
    if unknown := sorted(body.keys() - KNOWN):
        raise ValueError(f"unknown names {unknown}; known are {sorted(KNOWN)}")
    if not isinstance(query := body.get("query"), str) or len(query) > LONGEST:
        raise ValueError(f"query must be a string of at most {LONGEST} characters")
    if len(json.dumps(body.get("filter"))) > LONGEST:
        raise ValueError(f"filter must have at most {LONGEST} characters")
    return body


def _found(body: dict[str, Any]) -> dict[str, Any]:
    k, offset, width = (_number(body, name, least, given) for name, least, given in _NUMBERS)
    for name, number in (("k and offset", k + offset), ("candidates", width)):
        if number > MOST:
            raise ValueError(f"{name} may be {MOST} at most, got {number}")
    options = {name: body[name] for name in OPTIONS if name in body}
    wanted = Wanted(
        k, offset, options, _flag(body, "explain", False), _flag(body, "documents", True)
    )
    view = _loaded().view()
    (answer,), _ = answered(view, [body["query"]], wanted)
    return {**answer, **of_index(view)}


_NUMBERS = (("k", 1, 10), ("offset", 0, 0), ("candidates", 1, 1))


def _number(body: dict[str, Any], name: str, least: int, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be an integer, at least {least}, got {value!r:.100}")
    return value


def _flag(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if type(value) is not bool:
        raise ValueError(f"{name} must be true or false, got {value!r:.100}")
    return value


def _answer(status: int, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(content),
        "isBase64Encoded": False,
    }
