"""The program `glane`: finds the subcommand, prints what it returns, turns errors into one line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Protocol, cast

from glane.threads import check_threads

LIGHT = {
    "index": "make an index of a file of documents",
    "add": "add documents to an index, replacing those with the same id",
    "delete": "delete documents from an index",
    "compact": "drop what is left of deleted documents, and join what lies apart",
    "search": "search an index",
    "evaluate": "measure a retriever, and a reranker, on a collection with judgements",
    "info": "say what a checkpoint, a model or an index is",
}
HEAVY = {
    "demo": "the whole chain on a small sample: train, export, index, evaluate, search",
    "train": "fine-tune a model on triples",
    "export": "turn a checkpoint into an ONNX model that is proved to rank the same",
}
"""Found by the entry-point group `glane.commands`; only the one that is called is imported."""


class Command(Protocol):
    """What the module of a subcommand has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> dict[str, object]:
        """Do the work and return the object that `--json` prints."""
        ...

    def show(self, result: dict[str, object]) -> str:
        """Return the result as text for a person."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        0 when done, 1 after an error that was told in one line, 130 after Ctrl-C; bad usage
        exits with 2.
    """
    try:
        command, arguments = parse(sys.argv[1:] if argv is None else argv)
        check_threads(arguments.threads)
        result = command.run(arguments)
        text = json.dumps(result, ensure_ascii=False) if arguments.json else command.show(result)
        sys.stdout.write(_printable(text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "stopped", 130)
    except (ValueError, OSError, ModuleNotFoundError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    return 0


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return the subcommand that is called, and its arguments.

    Raises:
        SystemExit: If the call is wrong, or asks for help or the version.
        ModuleNotFoundError: If the subcommand needs an extra that is not installed.
    """
    name = next((word for word in argv if word in {**LIGHT, **HEAVY}), None)
    command = _find(name) if name else None
    arguments = _parser(name, command).parse_args(argv)
    assert command is not None, "argparse refuses a call without a subcommand"
    return command, arguments


def _printable(text: str) -> str:
    """Return text with escapes, as JSON has them, for what the terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"glane: {' '.join(message.split())}\n")
    return code


def _find(name: str) -> Command:
    if name in LIGHT:
        module = f"glane.commands.{name}"
    else:
        found = entry_points(group="glane.commands", name=name)
        module = next(iter(found)).value if found else f"glane_{name}"
    return cast(Command, import_module(module))


def _parser(chosen: str | None, command: Command | None) -> argparse.ArgumentParser:
    """Make the parser; only the chosen subcommand gets its arguments."""
    parser = argparse.ArgumentParser(
        prog="glane",
        description="Fine-tune neural search where there is a GPU, run it where there is none.",
    )
    parser.add_argument("--version", action="version", version=f"glane {version('glane')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, summary in {**HEAVY, **LIGHT}.items():
        sub = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name == chosen and command is not None:
            command.add_arguments(sub)
            add_common_arguments(sub)
    return parser


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every subcommand takes."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="default: affinity and container quota"
    )
