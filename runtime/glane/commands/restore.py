"""`glane restore`: let an index be what a backup of it holds."""

from __future__ import annotations

import argparse
from typing import Any

from glane.commands.backup import copied, told
from glane.commands.documents import add_wait_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("backup", metavar="BACKUP", help="folder written by `glane backup`")
    parser.add_argument("index", metavar="INDEX", help="folder to write")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an index that is there, in one commit: its readers go on, and find what was "
        "restored when they refresh; damaged files are written anew",
    )
    add_wait_argument(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Copy the backup to where the index is wanted."""
    return copied(arguments, arguments.backup, arguments.index)


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return told(result, result["index"])
