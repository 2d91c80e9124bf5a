"""What every request passes: its id, host and token, limits of size, number and time, the log."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
import uuid
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glane_serve.logs import REQUEST
from glane_serve.metrics import Metrics
from glane_serve.refusals import Refused
from glane_serve.responses import refusal
from glane_serve.settings import ServeSettings

LOG = logging.getLogger("glane.serve")

REQUEST_ID = "x-request-id"
PLAIN_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)

PORT = re.compile(r":\d*\Z")
LOCAL = ("localhost", "127.0.0.1", "::1")

OPEN = ("/", "/health", "/ready")
"""Paths that ask for no token: they tell nothing of what is served."""

MOST_BYTES = 256 << 20
"""Bytes of all bodies that are being received."""

UNCOUNTED = (*OPEN, "/metrics", "/info", "/openapi.json")
"""Paths that are answered however busy the server is."""


class Gate:
    """Around the application: refuses what is beyond a limit, before anything is done for it."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        """Stand before an application; without a token only for clients of this machine."""
        self.app = app
        self.limits = settings.limits
        self.token = None if settings.token is None else settings.token.encode()
        self.hosts = tuple(dict.fromkeys((*LOCAL, settings.host.lower())))
        self.metrics = metrics
        self.n_at_work = 0
        self.n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passing = _Passing(scope, send)
        try:
            await self._let_in(scope, receive, passing)
        except Refused as refused:
            await passing.refuse(refused, scope, receive)
        except BaseException:
            passing.failed()
            raise
        finally:
            passing.told(self.metrics)

    async def _let_in(self, scope: Scope, receive: Receive, passing: _Passing) -> None:
        path = scope["path"]
        if path not in OPEN:
            self._check_host(scope["headers"])
            self._check_token(scope["headers"])
        if path in UNCOUNTED:
            await self.app(scope, receive, passing.send)
            return
        _check_type(scope)
        body = await self._body(scope, receive)
        if self.n_at_work >= self.limits.concurrent:
            raise Refused(
                429,
                f"{self.limits.concurrent} requests are at work already; come again",
                {"Retry-After": "1"},
            )
        self.n_at_work += 1
        self.metrics.at_work(1)
        try:
            await self._in_time(scope, body, receive, passing)
        finally:
            self.n_at_work -= 1
            self.metrics.at_work(-1)

    async def _in_time(
        self, scope: Scope, body: bytes, receive: Receive, passing: _Passing
    ) -> None:
        try:
            async with asyncio.timeout(self.limits.seconds):
                await self.app(scope, _again(body, receive), passing.send)
        except TimeoutError:
            raise Refused(
                503, f"the answer took longer than {self.limits.seconds:g} s", {"Retry-After": "1"}
            ) from None

    def _check_host(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse what a page of another name was led to send here, where no token is asked for."""
        host = dict(headers).get(b"host", b"").decode("latin-1")
        if self.token is None and PORT.sub("", host).strip("[]").lower() not in self.hosts:
            raise Refused(403, f"the server answers to {', '.join(self.hosts)}, got {host!r:.100}")

    def _check_token(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.token is None:
            return
        scheme, _, given = dict(headers).get(b"authorization", b"").partition(b" ")
        is_known = hmac.compare_digest(given.strip(), self.token)
        if scheme.lower() != b"bearer" or not is_known:
            raise Refused(
                401,
                "send the header Authorization: Bearer TOKEN with the server's token",
                {"WWW-Authenticate": "Bearer"},
            )

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of a request, read whole and in time."""
        most = self.limits.body
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > most:
            raise Refused(413, f"the body has {int(told)} bytes; at most {most} are taken")
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.sending):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Refused(400, "the client left before its request was there")
                    part = message.get("body", b"")
                    body += part
                    self.n_bytes += len(part)
                    if len(body) > most:
                        raise Refused(413, f"the body has more than {most} bytes")
                    if self.n_bytes > MOST_BYTES:
                        raise Refused(429, "too much is being sent at once", {"Retry-After": "1"})
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise Refused(408, f"the request was not there in {self.limits.sending:g} s") from None
        finally:
            self.n_bytes -= len(body)


def _check_type(scope: Scope) -> None:
    """Refuse a body of another type than JSON: a page of another site could send one unasked."""
    given = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
    if scope["method"] == "POST" and given != b"application/json":
        raise Refused(415, "send the header Content-Type: application/json")


class _Passing:
    """One request on its way, and what is told of it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = dict(scope["headers"]).get(REQUEST_ID.encode(), b"").decode("latin-1")
        self.id = given if PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.id
        self._scope, self._send = scope, send
        self._start = time.perf_counter()
        self._status = 0
        self._n_bytes = 0

    async def send(self, message: Message) -> None:
        """Send on, with the request's id."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message.get("headers", []), (REQUEST_ID.encode(), self.id.encode())]
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self._n_bytes += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, refused: Refused, scope: Scope, receive: Receive) -> None:
        """Answer with a refusal, where nothing was answered yet."""
        if not self._status:
            await refusal(refused, self.id)(scope, receive, self.send)

    def failed(self) -> None:
        """Count it as an error of the server's own, where nothing was answered yet."""
        self._status = self._status or 500

    def told(self, metrics: Metrics) -> None:
        """Count the request, and write its line of the log."""
        seconds = time.perf_counter() - self._start
        route = getattr(self._scope.get("route"), "path", "none")
        metrics.request(route, self._status, seconds)
        line = {
            "request_id": self.id,
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self._status,
            "milliseconds": round(seconds * 1e3, 3),
            "bytes": self._n_bytes,
        }
        LOG.info("request", extra={REQUEST: line})


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read, and then what comes."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def given() -> Message:
        for message in messages:
            return message
        return await receive()

    return given
