"""`glane index`: make an index of a file of documents."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from glane.collection.dataset import document_rows
from glane.collection.folder import DocumentRows
from glane.commands.documents import (
    Checked,
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
    group.add_argument(
        "--ray-gpus",
        action="store_true",
        help="each of these processes has a GPU of its own, and its models compute on that, by "
        "onnxruntime-gpu; default on the cores",
    )
    group.add_argument(
        "--shards",
        type=int,
        action=Bounded,
        least=1,
        metavar="N",
        help="with --ray: have the cluster write INDEX as N shards, each by a process of its own, "
        "as `glane shard` would part it; every machine reaches INDEX by the same path",
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the documents, then encode and write them chunk by chunk.

    Stopped, it leaves a draft that no reader sees, and the same command goes on from there.
    """
    start = time.perf_counter()
    (key, fields), types = fields_of(arguments, boosts=True), filters_of(arguments)
    check_stages(arguments)
    _check_encoding(arguments)
    if arguments.shards is None:
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
    rows = document_rows(arguments.documents, key, search.on)
    write = _write_index if arguments.shards is None else _write_shards
    checked, counts = write(arguments, search, rows)
    return {
        "index": arguments.index,
        **stage_names(search),
        "n_documents": checked.n_documents,
        "n_empty": checked.n_empty,
        **counts,
        **truncated(search),
        "seconds": round(time.perf_counter() - start, 3),
    }


Done = tuple[Checked, dict[str, object]]
"""What was found in the documents, and what else is told of them."""


def _write_index(arguments: argparse.Namespace, search: Search, rows: DocumentRows) -> Done:
    building = search.building(
        arguments.index,
        overwrite=arguments.overwrite,
        link=arguments.link,
        wait=arguments.wait,
    )
    with _encoding(arguments, search), writing_to(building) as goes_on:
        checked = _checked(arguments, search, rows)
        stored = store_documents(rows, search, checked, arguments.index)
        if goes_on:
            search.keep_only(stored.numbers)
    return checked, {**parted(search)}


def _write_shards(arguments: argparse.Namespace, search: Search, rows: DocumentRows) -> Done:
    build = _of_ray("shards")
    checked = _checked(arguments, search, rows)
    built = build(
        search,
        (record for _, record in rows),
        arguments.index,
        arguments.shards,
        arguments.ray,
        n_documents=checked.n_documents,
        gpus=arguments.ray_gpus,
        link=arguments.link,
        wait=arguments.wait,
    )
    most = max(built.n_passages.values(), default=0)
    told = {"n_passages": most} if most > checked.n_documents else {}
    return checked, {"shards": built.n_documents, **told}


def _checked(arguments: argparse.Namespace, search: Search, rows: DocumentRows) -> Checked:
    checked = check_documents(rows, search, made=False, strict=arguments.on is not None)
    if not checked.n_documents:
        raise ValueError(f"{rows.name} is empty, or a header alone; expected documents")
    return checked


def _check_encoding(arguments: argparse.Namespace) -> None:
    """Refuse options of a cluster that do not go together.

    Raises:
        UsageError: If they do not.
    """
    for name in ("ray_workers", "ray_gpus"):
        if arguments.ray is None and getattr(arguments, name):
            raise UsageError(f"--{name.replace('_', '-')} needs --ray")
    if arguments.shards is None:
        return
    if arguments.ray is None:
        raise UsageError("--shards needs --ray; `glane shard` parts an index that is there")
    if arguments.ray_workers is not None:
        raise UsageError("--shards has one process for each shard; leave --ray-workers out")
    if arguments.overwrite:
        raise UsageError("--shards writes a new folder; leave --overwrite out")


@contextmanager
def _encoding(arguments: argparse.Namespace, search: Search) -> Iterator[None]:
    """Have a cluster encode the documents of a search, where one is named."""
    if arguments.ray is None:
        yield
        return
    spread = _of_ray("ray")
    with spread(search, arguments.ray, arguments.ray_workers, gpus=arguments.ray_gpus):
        yield


def _of_ray(name: str) -> Callable[..., Any]:
    """Return what a cluster does of indexing, by its name among the entry points.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
    """
    from importlib.metadata import entry_points

    (found,) = entry_points(group="glane.encoding", name=name)
    try:
        loaded: Callable[..., Any] = found.load()
    except ModuleNotFoundError as error:
        raise lacking("--ray", "ray", error) from None
    return loaded


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    line = f"{result['index']}: {result['n_documents']} documents, {stages}, {result['seconds']} s"
    if shards := cast(list[int], result.get("shards")):
        line += (
            f"\nin {len(shards)} shards; serve them: glane serve {result['index']} --ray ADDRESS"
        )
    return line + passages(result) + empty_texts(result) + cut_texts(result)
