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

import ray
from ray.exceptions import RayError, RayTaskError

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
    return int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]


def check_cores(number: int, what: str) -> None:
    """Refuse more actors than there are cores: some would wait for ever.

    Args:
        number: Of actors that take a core each.
        what: They are called in messages.

    Raises:
        ValueError: If there are too few.
    """
    found = n_cores()
    if number > found:
        raise ValueError(f"{number} {what} need a core each, but the cluster has {found}")


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
