"""Shards and what merges their answers as deployments of Ray Serve.

Each shard is a deployment of its own, so that its replicas, their resources and their scaling are
Ray's to set. The routes are those of `glane serve`: the same application, over a search that asks
the shards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM, signal
from threading import Event
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.context import _get_global_client
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from glane.errors import GlaneError
from glane.search import Search
from glane_scale.cluster import connected, n_cores
from glane_scale.shard import Change, Contents, Generation, Reply, Request, Shard
from glane_scale.sharded import ShardedSearch, read_shards
from glane_serve.app import application
from glane_serve.logs import log_to_stderr
from glane_serve.service import Service
from glane_serve.settings import ServeSettings

APP = "glane"

LOG = logging.getLogger("glane.serve")

AT_ONCE = 16
"""Questions that a replica of a shard works on or has waiting, beyond which others are asked."""

SECONDS = 30.0
"""For one answer to a question, and for a replica to take the place of one that died."""

PAUSE = 0.2


class ShardReplica:
    """A replica of a shard; several of one shard open the same folder."""

    def __init__(self, folder: str) -> None:
        """Open the newest state."""
        self._shard = Shard(folder, threads=1)

    async def ask(self, request: Request) -> Reply:
        """Answer a question."""
        return await asyncio.to_thread(self._shard.ask, request)

    async def contents(self, known: Generation | None) -> Contents | None:
        """Return what it holds that is not known."""
        return await asyncio.to_thread(self._shard.contents, known)

    async def change(self, change: Change, wait: float) -> None:
        """Store documents, or forget them."""
        await asyncio.to_thread(self._shard.change, change, wait)

    async def compact(self, wait: float) -> None:
        """Drop what is left of deleted documents."""
        await asyncio.to_thread(self._shard.compact, wait)


class ServedShards:
    """Shards that are deployments."""

    def __init__(self, handles: Sequence[DeploymentHandle[Any]]) -> None:
        """Ask them by their handles."""
        self._handles = list(handles)

    def __len__(self) -> int:
        return len(self._handles)

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask some shards, all at once; where a replica dies, another is asked."""
        return self._read([(each.own, "ask", each) for each in requests])

    def contents(self, known: Sequence[Generation | None]) -> list[Contents | None]:
        """Return what each holds that is not known."""
        return self._read([(own, "contents", each) for own, each in enumerate(known)])

    def change(self, changes: Mapping[int, Change], wait: float) -> None:
        """Change some shards."""
        self._change([(own, "change", (each, wait)) for own, each in changes.items()])

    def compact(self, wait: float) -> None:
        """Compact every shard."""
        self._change([(own, "compact", (wait,)) for own in range(len(self))])

    def _read(self, calls: Sequence[tuple[int, str, Any]]) -> list[Any]:
        """Call all at once; one whose replica dies is called again, since it changes nothing."""
        sent = [self._send(own, name, given) for own, name, given in calls]
        return [
            self._again(own, name, given, response)
            for (own, name, given), response in zip(calls, sent, strict=True)
        ]

    def _again(self, own: int, name: str, given: Any, response: Any) -> Any:  # noqa: ANN401
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return _result(own, response, SECONDS)
            except _DiedError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(PAUSE)
            response = self._send(own, name, given)

    def _change(self, calls: Sequence[tuple[int, str, tuple[Any, ...]]]) -> None:
        """Call all at once, each once: whether one that died had committed is not known.

        However long it takes: who gave up would not know what was written.
        """
        sent = [(own, self._send(own, name, *given)) for own, name, given in calls]
        errors: list[Exception] = []
        for own, response in sent:
            try:
                _result(own, response)
            except (GlaneError, OSError, ValueError) as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _send(self, own: int, name: str, *given: Any) -> Any:  # noqa: ANN401
        return getattr(self._handles[own], name).remote(*given)


class _DiedError(GlaneError):
    """A replica that is no longer there."""


def _result(own: int, response: Any, seconds: float | None = None) -> Any:  # noqa: ANN401
    """Return an answer, whatever was asked.

    Raises:
        GlaneError: If it takes longer than so many seconds, or Ray gives up on it.
    """
    try:
        return response.result(timeout_s=seconds)
    except TimeoutError:
        raise GlaneError(f"shard {own} has not answered within {seconds} s") from None
    except RayTaskError as error:  # what the shard itself refused
        raise error.cause from None
    except (RayActorError, DeploymentUnavailableError) as error:
        raise _DiedError(
            f"shard {own} died; what was being written is to be sent again: {error}"
        ) from None
    except (RayError, RayServeException) as error:
        raise GlaneError(f"shard {own}: {error}") from None


def deployed(
    settings: ServeSettings,
    shard_options: Mapping[str, Any] | None = None,
    router_options: Mapping[str, Any] | None = None,
) -> serve.Application:
    """Return the application for `serve.run`: a deployment `shard-0`, ... each, and the router.

    Args:
        settings: What is served; the index is a folder written by `glane shard`, which every
            machine reaches by the same path.
        shard_options: Of each shard's deployment, as `serve.deployment` takes them.
        router_options: Of the router's.

    Raises:
        CheckpointError: If the folder names no shards.
    """
    folders = read_shards(Path(str(settings.index)).resolve())
    given = {"max_ongoing_requests": AT_ONCE, **(shard_options or {})}
    shards: list[Any] = [
        serve.deployment(name=f"shard-{own}", **given)(ShardReplica).bind(str(folder))
        for own, folder in enumerate(folders)
    ]
    names = [f"shard-{own}" for own in range(len(folders))]

    def build() -> FastAPI:
        log_to_stderr()
        handles = [serve.get_deployment_handle(name, app_name=APP) for name in names]

        def load() -> FastAPI:
            search = ShardedSearch(str(settings.index), ServedShards(handles))
            return application(Service(settings, search))

        with ThreadPoolExecutor(1) as apart:  # the replica's event loop does not wait for answers
            return apart.submit(load).result()

    class Router:
        def __init__(self, *shards: DeploymentHandle[Any]) -> None:
            """Be deployed after the shards."""

    options = {"max_ongoing_requests": settings.limits.concurrent, **(router_options or {})}
    router: Any = serve.deployment(name="router", **options)(serve.ingress(build)(Router))
    made: serve.Application = router.bind(*shards)
    return made


def serve_shards(settings: ServeSettings, address: str, port: int, replicas: int) -> None:
    """Deploy shards and router on a cluster, and let them answer until this is stopped.

    Args:
        settings: What is served.
        address: Of the cluster, as `connected` takes it.
        port: That each machine of the cluster listens on, at `settings.host`.
        replicas: Of each shard.

    Raises:
        ConnectionError: If there is no cluster at the address.
        CheckpointError: If the folder names no shards, or a shard is missing or damaged.
        OSError: If Ray gives up.
    """
    application = deployed(settings, {"num_replicas": replicas})
    folders = read_shards(Path(str(settings.index)).resolve())
    for folder in folders:
        Search.load(folder, threads=1)  # what cannot be opened is told here, once
    n_shards = len(folders)
    needed = n_shards * replicas + 1
    log_to_stderr()
    with connected(address, needed):
        found = n_cores()
        if found < needed:
            told = "waiting for %d cores, of %d replicas and a router: the cluster has %d"
            LOG.warning(f"{told}; let machines join, or ask for fewer", needed, needed - 1, found)
        _listen(settings.host, port)
        try:
            _run(application)
            LOG.info("%d shards answer at http://%s:%d", n_shards, settings.host, port)
            stopped = Event()
            signal(SIGTERM, lambda *_: stopped.set())  # Ray has put its own, which aborts
            stopped.wait()
        finally:
            serve.delete(APP)
            if not serve.status().applications:
                serve.shutdown()  # type: ignore[no-untyped-call]


def _listen(host: str, port: int) -> None:
    """Have the cluster's Serve listen.

    Raises:
        OSError: If it listens elsewhere already, which Ray would only warn of: then whoever can
            reach that place would be let in by what was checked for this one.
    """
    serve.start(http_options={"host": host, "port": port})
    client = _get_global_client()
    assert client is not None, "Serve was started"
    own = f"{client.http_config.host}:{client.http_config.port}"
    if own != f"{host}:{port}":
        raise OSError(
            f"Serve of this cluster listens on {own} already, not on {host}:{port}; ask for that "
            "by --host and --port, or end it by `serve shutdown`"
        )


def _run(application: serve.Application) -> None:
    """Deploy, and wait until all is ready.

    Raises:
        OSError: If something does not start.
    """
    try:
        serve.run(application, name=APP)
    except RuntimeError as error:
        parts = serve.status().applications[APP].deployments
        told = [f"{name}: {_last_line(part.message)}" for name, part in parts.items()]
        failed = [line for line in told if not line.endswith(": ")]
        raise OSError("; ".join(failed) or str(error)) from None


def _last_line(message: str) -> str:
    return next((line for line in reversed(message.splitlines()) if line.strip()), "").strip()
