"""uvicorn's connections, bounded in their number, and in the time that a request takes to come."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from glane_serve.settings import Limits

LIMITS = "limits"
"""Name by which an application's state tells its limits to connections."""


class Connection(H11Protocol):
    """A connection that is closed where its request does not come in time, or too many are open."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 (as uvicorn has it)
        """Take the connection, or close it at once."""
        super().connection_made(transport)
        self._limits: Limits = self.app_state[LIMITS]
        if len(self.connections) > self._limits.connections:
            transport.close()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Read on; a next request's first bytes begin its time."""
        if self._head is None and self._is_idle():
            self._begin()
        super().data_received(data)
        if not self._is_idle():
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._rest()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        """Return whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _begin(self) -> None:
        self._head = self.loop.call_later(self._limits.sending, self._late)

    def _late(self) -> None:
        self._head = None
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()

    def _rest(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


STOPPING = 30
"""Seconds that requests at work have to end when the server stops."""

OPTIONS: dict[str, Any] = {
    "http": Connection,
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": STOPPING,
}
"""What uvicorn is told, besides where to listen."""
