"""`glane mcp`: an index as tools for agents, over standard input and output."""

from __future__ import annotations

import argparse
from typing import NoReturn

from glane.commands.installed import lacking
from glane.commands.usage import Bounded
from glane.model.progress import telling
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    parser.add_argument(
        "--timeout",
        type=float,
        action=Bounded,
        least=0.1,
        default=30.0,
        metavar="SECONDS",
        help="after which a call is answered with an error; less than the client waits",
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Answer until standard input ends; there is no result, since the output is the protocol's.

    Raises:
        SystemExit: At the end, with code 0.
        CheckpointError: If the index is missing or damaged.
        ModuleNotFoundError: If the package mcp is not installed.
    """
    try:
        from glane_serve.mcp_tools import Tools, server
    except ModuleNotFoundError as error:
        raise lacking("glane mcp", "mcp", error) from error
    with telling("opening the index"):
        search = Search.load(arguments.index, threads=arguments.threads)
    server(Tools(search, arguments.timeout)).run()
    raise SystemExit(0)


def show(result: dict[str, object]) -> str:
    """Return nothing: `run` returns no result."""
    return ""
