"""Finds the subcommand, prints what it returns, turns errors into one line."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points, version
from typing import Protocol, cast

from glane.commands.installed import COMMANDS, lacking
from glane.commands.stopping import STOPPED, raise_at_interrupt
from glane.commands.streams import as_json, flush, streams, takes_colour, visible, write_line
from glane.commands.usage import Bounded, UsageError
from glane.threads import import_numpy

LIGHT = {
    "split": "make a collection of pairs of question and answer, some held out to measure on",
    "index": "make an index of a file of documents",
    "add": "add documents to an index, replacing those with the same id",
    "delete": "delete documents from an index",
    "compact": "drop what is left of deleted documents, and join what lies apart",
    "migrate": "encode an index's documents with a new model, while the old one serves",
    "backup": "copy what an index is now, while others search it and write to it",
    "restore": "let an index be what a backup of it holds",
    "search": "search an index",
    "evaluate": "measure a retriever, and a reranker, on a collection with judgements",
    "compare": "say whether one system is better than another, by how much, and how sure that is",
    "tune": "choose an index's settings by judged queries, and write them into it",
    "info": "say what a checkpoint, a model or an index is",
    "doctor": "say what this machine can do, how fast, and what is missing for which command",
    "completion": "print what lets bash, zsh or fish complete the words of a call",
}
HEAVY = {
    "demo": "the whole chain on a small sample: train, export, index, evaluate, search",
    "train": "fine-tune a model on pairs, triples or a judged collection",
    "mine": "find documents that nearly answer a query, scored by a teacher, to train on",
    "export": "turn a checkpoint into an ONNX model that is proved to rank the same",
    "serve": "answer over HTTP: search, explain, rerank, encode, write; with a page to search on",
    "mcp": "give an index to agents as tools: search, explain, rerank",
    "push": "hand an index's documents to Qdrant, PostgreSQL, Elasticsearch, OpenSearch or Vespa",
    "shard": "part an index in shards, for machines that search it together",
    "average": "make one checkpoint of the weights of several trainings",
    "save-as": "hand a checkpoint over to PyLate, sentence-transformers or colbert-ai",
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


def run(argv: Sequence[str]) -> int:
    """Run one subcommand; see `glane.commands.main`."""
    with streams():
        try:
            return _run(argv)
        except KeyboardInterrupt as stop:
            return _fail(str(stop) or "stopped", getattr(stop, "exit_code", STOPPED))
        except UsageError as error:
            return _fail(str(error), 2)
        except (ValueError, OSError, ImportError, MemoryError) as error:
            if _was_stopped(error):
                return _fail("stopped", STOPPED)
            return _fail(str(error) or type(error).__name__, 1)


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return the subcommand that is called, and its arguments.

    Raises:
        SystemExit: If the call is wrong, or asks for help or the version.
        UsageError: If a number is out of bounds.
        ModuleNotFoundError: If the subcommand needs an extra that is not installed.
    """
    name = next((word for word in argv if word in {**LIGHT, **HEAVY}), None)
    command = _find(name) if name else None
    arguments = _parser(name, command).parse_args(argv)
    assert command is not None, "argparse refuses a call without a subcommand"
    settle = getattr(command, "settle", None)
    if settle is not None:  # a file may say what is not typed
        found = vars(_parser(name, command, typed=True).parse_args(argv))
        settle(arguments, {name for name, value in found.items() if value is not None})
    return command, arguments


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of one subcommand by itself, for what tells of its arguments.

    Raises:
        ModuleNotFoundError: If it needs an extra that is not installed.
    """
    parser = argparse.ArgumentParser(
        prog=f"glane {name}", description={**LIGHT, **HEAVY}[name], formatter_class=Defaults
    )
    _find(name).add_arguments(parser)
    add_common_arguments(parser)
    return parser


def _run(argv: Sequence[str]) -> int:
    try:
        command, arguments = parse(argv)
    except SystemExit:  # help, say, which is printed already
        flush(sys.stdout)
        raise
    raise_at_interrupt()  # all modules are imported now
    result = command.run(arguments)
    text = as_json(result, sys.stdout) if arguments.json else _text(command, result)
    write_line(sys.stdout, text)
    return 0


def _was_stopped(error: BaseException | None) -> bool:
    """Return whether an error came of Ctrl-C; importing C code or torch makes another of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _text(command: Command, result: dict[str, object]) -> str:
    paint = getattr(command, "paint", None)
    if paint is not None and takes_colour(sys.stdout):
        return str(paint(result))
    return "\n".join(map(visible, command.show(result).split("\n")))


def _fail(message: str, code: int) -> int:
    with suppress(OSError):  # nobody may be there to be told
        write_line(sys.stderr, f"glane: {visible(' '.join(message.split()))}")
    return code


def _find(name: str) -> Command:
    if name in LIGHT:
        import_numpy()
        module = f"glane.commands.{name}"
    else:
        found = entry_points(group="glane.commands", name=name)
        module = next(iter(found)).value if found else f"glane_{name}"
    try:
        return cast(Command, import_module(module))
    except ModuleNotFoundError as error:
        if name not in COMMANDS:
            raise
        raise lacking(f"glane {name}", COMMANDS[name], error) from error


def _parser(
    chosen: str | None, command: Command | None, *, typed: bool = False
) -> argparse.ArgumentParser:
    """Make the parser; only the chosen subcommand gets its arguments.

    Args:
        chosen: Its name.
        command: Its module.
        typed: Whether only what is typed is returned, and no default.
    """
    parser = argparse.ArgumentParser(
        prog="glane",
        description="Fine-tune neural search where there is a GPU, run it where there is none.",
    )
    parser.add_argument("--version", action="version", version=f"glane {version('glane')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, summary in {**HEAVY, **LIGHT}.items():
        described = f"{summary[0].upper()}{summary[1:]}."
        sub = commands.add_parser(
            name, help=summary, description=described, formatter_class=Defaults
        )
        if name == chosen and command is not None:
            command.add_arguments(sub)
            add_common_arguments(sub)
            for action in sub._actions if typed else ():
                action.default = argparse.SUPPRESS if action.option_strings else None
    return parser


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every subcommand takes."""
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object, nothing else"
    )
    parser.add_argument(
        "--threads",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="processors to use; default all that this process may use: its affinity and the "
        "container's quota",
    )


class Defaults(argparse.HelpFormatter):
    """Help that tells every option's default: the text names it, or it is added here."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        told = action.default is argparse.SUPPRESS or re.search(r"\bdefault\b", text)
        if told or not action.option_strings:
            return text
        if action.required:
            return f"{text}; needed"
        value = "no" if action.const is True else action.default
        shown = "none" if value in (None, "") else str(value).replace("%", "%%")
        return f"{text}; default {shown}"
