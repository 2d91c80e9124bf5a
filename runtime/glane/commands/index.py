"""`glane index`: make an index of a file of documents."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glane.collection.dataset import document_rows
from glane.commands.documents import (
    add_documents_argument,
    add_field_arguments,
    add_wait_argument,
    check_documents,
    fields_of,
    filters_of,
    store_documents,
)
from glane.commands.fusing import add_fusion_arguments, fusion_of
from glane.commands.installed import lacking
from glane.commands.stages import (
    add_stage_arguments,
    build_search,
    check_stages,
    stage_names,
)
from glane.commands.told import cut_texts, empty_texts, parted, passages, truncated
from glane.commands.usage import Bounded, UsageError
from glane.model.progress import writing_to
from glane.retrievers.saved import check_free
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder to write")
    add_documents_argument(parser)
    add_stage_arguments(parser)
    add_fusion_arguments(parser, "the model's, or ")
    add_field_arguments(parser)
    parser.add_argument(
        "--fields",
        metavar="NAME:TYPE",
        help="fields to filter by, with commas between them: keyword, int, float or date, and [] "
        "behind for several in a document: lang:keyword,year:int,tags:keyword[]; default none",
    )
    parser.add_argument(
        "--no-documents",
        dest="keep_documents",
        action="store_const",
        const=False,
        help="do not store the documents themselves: a search shows ids alone; default stored",
    )
    parser.add_argument(
        "--keep-documents",
        action="store_const",
        const=True,
        help="store the documents, for display, explanations and `glane migrate`; the default",
    )
    parser.add_argument(
        "--link", action="store_true", help="name the models' folders instead of copying them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an index that is there")
    add_wait_argument(parser)
    group = parser.add_argument_group("encoding")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="have the models' work done by a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or "
        "local for processes of this machine; default here (docs/scale.md)",
    )
    group.add_argument(
        "--ray-workers",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="processes of the cluster, each on a core; default one a core",
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the documents, then encode and write them chunk by chunk.

    Stopped, it leaves a draft that no reader sees, and the same command goes on from there.
    """
    start = time.perf_counter()
    (key, fields), types = fields_of(arguments, boosts=True), filters_of(arguments)
    check_stages(arguments)
    folder = Path(arguments.index).resolve()
    check_free(folder, overwrite=arguments.overwrite, wait=arguments.wait)
    search = build_search(
        arguments,
        key,
        fields,
        keep_documents=arguments.keep_documents is not False,
        fields=types,
        fusion=fusion_of(arguments),
    )
    building = search.building(
        arguments.index,
        overwrite=arguments.overwrite,
        link=arguments.link,
        wait=arguments.wait,
    )
    rows = document_rows(arguments.documents, key, search.on)
    with _encoding(arguments, search), writing_to(building) as goes_on:
        checked = check_documents(rows, search, made=False, strict=arguments.on is not None)
        if not checked.n_documents:
            raise ValueError(f"{rows.name} is empty, or a header alone; expected documents")
        stored = store_documents(rows, search, checked, arguments.index)
        if goes_on:
            search.keep_only(stored.numbers)
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": len(search),
        "n_empty": checked.n_empty,
        **parted(search),
        **truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


@contextmanager
def _encoding(arguments: argparse.Namespace, search: Search) -> Iterator[None]:
    """Have a cluster encode the documents of a search, where one is named."""
    if arguments.ray is None:
        if arguments.ray_workers is not None:
            raise UsageError("--ray-workers needs --ray")
        yield
        return
    from importlib.metadata import entry_points

    (found,) = entry_points(group="glane.encoding", name="ray")
    try:
        spread = found.load()
    except ModuleNotFoundError as error:
        raise lacking("--ray", "ray", error) from None
    with spread(search, arguments.ray, arguments.ray_workers):
        yield


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    line = f"{result['index']}: {result['n_documents']} documents, {stages}, {result['seconds']} s"
    return line + passages(result) + empty_texts(result) + cut_texts(result)
