"""`glane push`: hand an index's documents to an engine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from glane.commands.program import Defaults, add_common_arguments

INDEX = "folder written by `glane index`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engines, each with arguments of its own; nothing of theirs is loaded."""
    engines = parser.add_subparsers(
        required=True, metavar="ENGINE", dest="engine", help="where the documents go"
    )
    for name, engine in ENGINES.items():
        described = f"{engine.summary[0].upper()}{engine.summary[1:]}."
        sub = engines.add_parser(
            name, help=engine.summary, description=described, formatter_class=Defaults
        )
        engine.declare(sub)
        add_common_arguments(sub)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Load what the engine needs, and push."""
    module = import_module(f"glane_engines.{ENGINES[arguments.engine].module}")
    done: dict[str, Any] = module.run(arguments)
    return {"engine": arguments.engine, "index": arguments.index, **done}


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    return _held(result) if "name" in result else _written(result)


def _written(result: dict[str, Any]) -> str:
    lines = [
        f"{result['folder']} has {', '.join(result['files'])}: {result['documents']} documents, "
        f"for {result['engine']} {result['version']}"
    ]
    if result["parted"] and result["engine"] != "vespa":
        lines.append(
            f"{result['parted']} documents are of several passages, which are joined here: their "
            "scores are at least those of the best passage"
        )
    return "\n".join(lines)


def _held(result: dict[str, Any]) -> str:
    parts = "points" if result["engine"] == "qdrant" else "rows"
    cut = ""
    if result.get("cut"):
        cut = f"; in {result['cut']} rows only the heaviest terms are stored"
    return (
        f"{result['name']} at {result['place']} holds {result['documents']} documents in "
        f"{result[parts]} {parts}; {result['written']} documents were written now, "
        f"{result['deleted']} {parts} of another state deleted{cut}"
    )


def _declare_qdrant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place",
        metavar="URL",
        help="http://... or https://... of a server, whose key is QDRANT_API_KEY of the "
        "environment; or a folder for the client's local mode",
    )
    parser.add_argument("name", metavar="COLLECTION", help="made where it is missing")
    parser.add_argument("index", metavar="INDEX", help=INDEX)
    parser.add_argument(
        "--token-vectors",
        choices=["float32", "float16"],
        default="float16",
        help="what a component of a token's vector is stored as",
    )
    parser.add_argument(
        "--quantized",
        action="store_true",
        help="let MaxSim read token vectors of a byte a component, which Qdrant makes of them",
    )


def _declare_postgres(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place",
        metavar="DSN",
        help="of the database, such as postgresql://user@host/name; what it does not say is read "
        "from PGPASSWORD and the like, as psql does",
    )
    parser.add_argument(
        "name", metavar="TABLE", help="made where it is missing; a schema may stand before a dot"
    )
    parser.add_argument("index", metavar="INDEX", help=INDEX)


def _declare_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help=INDEX)
    parser.add_argument("folder", metavar="DIR", help="made where it is missing")


class Engine(NamedTuple):
    """What the command line knows of an engine.

    Attributes:
        summary: What pushing to it does.
        module: In this package; loaded when it is called for.
        declare: Declares its arguments.
    """

    summary: str
    module: str
    declare: Callable[[argparse.ArgumentParser], None]


ENGINES = {
    "qdrant": Engine("write the documents into a collection of Qdrant", "qdrant", _declare_qdrant),
    "postgres": Engine(
        "write the documents into a table of PostgreSQL with pgvector",
        "postgres",
        _declare_postgres,
    ),
    **{
        name: Engine(
            f"write mapping, documents in bulk format and a query for {title}",
            "lucene",
            _declare_files,
        )
        for name, title in (("elasticsearch", "Elasticsearch"), ("opensearch", "OpenSearch"))
    },
    "vespa": Engine(
        "write an application, documents to feed and a query for Vespa", "vespa", _declare_files
    ),
}
