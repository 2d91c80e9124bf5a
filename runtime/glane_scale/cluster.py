"""How this process reaches a Ray cluster, and leaves it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from glane.model.devices import VARIABLE

LOCAL = "local"

TOKEN = Path.home() / ".ray" / "auth_token"
"""Where Ray leaves the token of a cluster."""


@contextmanager
def connected(address: str, n_cpus: int | None = None) -> Iterator[None]:
    """Be connected to a Ray cluster while the block runs.

    Args:
        address: As `ray.init` takes it: "auto", "HOST:PORT" or "ray://HOST:PORT"; "local" starts
            Ray on this machine, and ends it.
        n_cpus: Cores that it is to count on where it is started here; by default what there are.

    Raises:
        ConnectionError: If there is no cluster at the address.
        OSError: If Ray gives up on something in the block.
    """
    _check_reachable(address)
    plain = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    # Ray prints of workers that died to standard output, which belongs to what is asked for.
    with redirect_stdout(sys.stderr):
        try:
            if address == LOCAL:
                plain(LOCAL, num_cpus=n_cpus, include_dashboard=False)  # never one that runs here
            else:
                plain(address)
        except (ConnectionError, RayError) as error:
            told = f"no Ray cluster at {address!r}: {_first_line(error)}{_token_hint()}"
            raise ConnectionError(told) from None
        try:
            yield
        except RayError as error:
            raise OSError(f"Ray: {_first_line(error)}") from None
        finally:
            ray.shutdown()


def n_cores() -> int:
    """Return how many cores the cluster has."""
    return _number_of("CPU")


def n_gpus() -> int:
    """Return how many GPUs the cluster has."""
    return _number_of("GPU")


def _number_of(resource: str) -> int:
    return int(ray.cluster_resources().get(resource, 0))  # type: ignore[no-untyped-call]


def actor_class(kind: type, number: int, what: str, *, gpus: bool = False) -> Any:  # noqa: ANN401
    """Return a class as one of Ray's actors, of a core each, which are replaced when they die.

    Args:
        kind: The class.
        number: Of actors that there will be.
        what: They are called in messages.
        gpus: Whether each has a GPU of its own as well, which its models compute on.

    Raises:
        ValueError: If the cluster has too few of either: some would wait for ever.
    """
    for name, found, is_needed in (("core", n_cores(), True), ("GPU", n_gpus(), gpus)):
        if is_needed and number > found:
            raise ValueError(f"{number} {what} need a {name} each, but the cluster has {found}")
    made: Any = ray.remote(
        num_cpus=1,
        num_gpus=int(gpus),
        runtime_env={"env_vars": {VARIABLE: "cuda"}} if gpus else {},
        max_restarts=-1,
        max_task_retries=-1,
    )
    return made(kind)


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would wait for minutes.

    Raises:
        ConnectionError: If nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(f"no Ray cluster at {address!r}: {error}") from None


def _token_hint() -> str:
    """Return what to do where a token lies that Ray does not send by itself."""
    if not TOKEN.is_file() or os.environ.get("RAY_AUTH_MODE") == "token":
        return ""
    return f"; if it asks for the token in {TOKEN}, set RAY_AUTH_MODE=token"


def _first_line(error: Exception) -> str:
    """Return what an error says; of one in a worker, whose traceback comes first, the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1 if isinstance(error, RayTaskError) else 0]
