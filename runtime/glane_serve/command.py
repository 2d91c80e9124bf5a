"""`glane serve`: an index or a model over HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import os
import resource
import socket
import tempfile
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from glane.commands.installed import lacking
from glane.commands.usage import Bounded, UsageError
from glane.model.progress import telling
from glane.threads import check_threads
from glane_serve.settings import MEBIBYTE, Limits, ServeSettings

MOST_FILES = 65_536
FILES_LEFT = 1024

CONNECTIONS = "open at once in one process; default what the limit of open files leaves"

TOKEN = "GLANE_TOKEN"
"""Of the environment: the token, where no file names it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    own = Limits()
    parser.add_argument(
        "index",
        metavar="INDEX",
        nargs="?",
        help="folder written by `glane index`; with --ray, by `glane shard`",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="folder of a model that reranks and encodes texts sent to it; default the index's own",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        action=Bounded,
        least=0,
        most=65535,
        default=8080,
        metavar="N",
        help="port to listen on; 0 takes a free one",
    )
    parser.add_argument(
        "--workers",
        type=int,
        action=Bounded,
        least=1,
        default=1,
        metavar="N",
        help="processes that answer",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="file of the token that clients must send as `Authorization: Bearer TOKEN`; default "
        f"what {TOKEN} says, else none, which is for this machine's own clients alone",
    )
    parser.add_argument(
        "--read-only", action="store_true", help="refuse to add and to delete documents"
    )
    parser.add_argument(
        "--cors-origin",
        action="append",
        metavar="ORIGIN",
        help="site whose pages may ask, such as https://example.org; may be given again; default "
        "none",
    )
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="serve the shards of INDEX by a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or "
        "local for processes of this machine; default this process (docs/scale.md)",
    )
    cluster.add_argument(
        "--replicas",
        type=int,
        action=Bounded,
        least=1,
        default=1,
        metavar="N",
        help="of each shard, with --ray",
    )
    limits = parser.add_argument_group("limits")
    for name, value, metavar, told in (
        ("--max-body", own.body // MEBIBYTE, "MIB", "of a request's body"),
        ("--max-requests", own.concurrent, "N", "at work or waiting at once in one process"),
        ("--max-connections", None, "N", CONNECTIONS),
        ("--max-texts", own.texts, "N", "to rerank, or documents to write, in one request"),
        ("--max-k", own.k, "N", "hits asked for, those passed over included"),
    ):
        limits.add_argument(
            name, type=int, action=Bounded, least=1, default=value, metavar=metavar, help=told
        )
    limits.add_argument(
        "--timeout",
        type=float,
        action=Bounded,
        least=0.1,
        default=own.seconds,
        metavar="SECONDS",
        help="that a request may take",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load what is served, and answer until stopped."""
    settings = _settings(arguments)
    if arguments.ray is not None:
        return _serve_shards(arguments, settings)
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise lacking("glane serve", "serve", error) from error

    from glane_serve.app import application
    from glane_serve.connections import OPTIONS
    from glane_serve.logs import log_to_stderr
    from glane_serve.metrics import SHARED
    from glane_serve.service import Service

    _check_port(arguments.host, arguments.port)
    log_to_stderr()
    options = {**OPTIONS, "host": arguments.host, "port": arguments.port}
    with ExitStack() as stack:
        if arguments.workers == 1:
            with telling("loading what is served"):
                app: Any = application(Service(settings))
        else:
            Service(settings)  # what cannot be loaded is told here, once
            os.environ[SHARED] = stack.enter_context(tempfile.TemporaryDirectory())
            settings.to_environment()
            app = "glane_serve.app:from_environment"
            options |= {"factory": True, "workers": arguments.workers}
        uvicorn.run(app, **options)
    return {"host": arguments.host, "port": arguments.port}


def _serve_shards(arguments: argparse.Namespace, settings: ServeSettings) -> dict[str, Any]:
    """Have a cluster answer until stopped."""
    if arguments.index is None or arguments.model is not None or arguments.workers > 1:
        raise UsageError("--ray serves an INDEX of shards; leave --model and --workers out")
    (found,) = entry_points(group="glane.serving", name="ray")
    try:
        serve_shards = found.load()
    except ModuleNotFoundError as error:
        raise lacking("glane serve --ray", "serve,ray", error) from error
    serve_shards(settings, arguments.ray, arguments.port, arguments.replicas)
    return {"host": arguments.host, "port": arguments.port}


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return f"stopped serving at {result['host']}:{result['port']}"


def _settings(arguments: argparse.Namespace) -> ServeSettings:
    """Return what is to be served, checked before anything is loaded."""
    if arguments.index is None and arguments.model is None:
        raise UsageError("pass an INDEX, or --model MODEL, or both")
    if arguments.workers > 1 and arguments.port == 0:
        raise UsageError("--port 0 is for one worker; name the port that several listen on")
    token = _token(arguments.token_file)
    if token is None and not _is_loopback(arguments.host):
        raise UsageError(
            f"--host {arguments.host} can be reached from elsewhere; pass --token-file, or set "
            f"{TOKEN}, so that it answers to those alone who know the token"
        )
    limits = Limits(
        body=arguments.max_body * MEBIBYTE,
        texts=arguments.max_texts,
        k=arguments.max_k,
        concurrent=arguments.max_requests,
        seconds=arguments.timeout,
        connections=arguments.max_connections or _connections(),
    )
    return ServeSettings(
        index=arguments.index,
        model=arguments.model,
        host=arguments.host,
        token=token,
        read_only=arguments.read_only,
        origins=tuple(arguments.cors_origin or ()),
        threads=check_threads(arguments.threads),
        limits=limits,
    )


def _check_port(host: str, port: int) -> None:
    """Refuse a port that is taken, before anything is loaded.

    Raises:
        UsageError: If nobody can listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(found[0], found[1]) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[4])
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: {error.strerror}; pass another") from None


def _connections() -> int:
    """Raise the limit of open files, and return how many connections it leaves.

    Files that an index opens when it is refreshed have to be left, too.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(1, most - FILES_LEFT)


def _token(file: str | None) -> str | None:
    """Return the token, of a file or of the environment.

    Raises:
        UsageError: If it is empty, or has characters that a header cannot have.
    """
    token = os.environ.get(TOKEN)
    if file is not None:
        try:
            token = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--token-file {file} must be a text file: {error}") from None
    if token is None:
        return None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the token must be printable ASCII without spaces, and not empty")
    return token


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
