"""`glane tune`: choose an index's settings by judged queries, and write them into it."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glane.collection.dataset import Dataset
from glane.collection.ids import find_ids
from glane.commands.documents import add_wait_argument
from glane.commands.judged import (
    add_collection_arguments,
    check_collection,
    names_of,
    read_judged,
)
from glane.commands.stages import stage_names
from glane.commands.streams import visible
from glane.evaluation.choosing import Choice, Values, choose, folds_of
from glane.evaluation.measures import with_relevant
from glane.model.progress import telling, writing_to
from glane.retrievers.fusion import DEFAULT_FUSE, UNSAID, FusionSettings
from glane.retrievers.tuning import CUTOFF, Asked, Setting, measured, settings_of
from glane.search import Search


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="folder written by `glane index`")
    add_collection_arguments(parser, "dev")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be chosen, and write nothing"
    )
    add_wait_argument(parser)
    parser.set_defaults(retriever=None)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all settings on all queries, choose, and write what is shown to be better."""
    check_collection(arguments)
    start = time.perf_counter()
    with telling("opening the index"):
        search = Search.load(arguments.index, threads=arguments.threads)
    settings = settings_of(search.retriever, search.reranker)
    with telling("reading the collection"):
        dataset = read_judged(arguments, search)
    queries = asked_of(search, dataset)
    folds = folds_of([query.text for query in queries])
    values = measured(search.retriever, search.reranker, queries, settings)
    changes = np.array([setting.changes(settings[0]) for setting in settings])
    choice = choose(values, changes, folds)
    written = choice.wins and not arguments.dry_run
    if written:
        _write(arguments, settings[choice.setting])
    return {
        "index": arguments.index,
        **names_of(arguments),
        **stage_names(search),
        "n_queries": len(queries),
        "n_without_relevant": len(dataset.queries) - len(queries),
        "n_settings": len(settings),
        "n_folds": int(folds.max()) + 1,
        **_told(settings, values, choice),
        "written": written,
        "dry_run": arguments.dry_run,
        "seconds": round(time.perf_counter() - start, 3),
    }


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    name = "/".join(visible(result[part]) for part in ("dataset", "split") if result[part])
    stages = " + ".join(str(result[s]) for s in ("retriever", "reranker") if result[s])
    head = (
        f"{name}: {stages}, {result['n_queries']} queries in {result['n_folds']} folds, "
        f"{result['n_settings']} settings, {result['seconds']:.1f} s"
    )
    columns = [*result["default"], f"NDCG@{CUTOFF}"]
    rows = [f"  {'':8s} {' '.join(f'{column:>11s}' for column in columns)}"]
    for label in ("default", "best"):
        numbers = [f"{value:g}" for value in result[label].values()]
        cells = [*numbers, f"{result[f'{label}_ndcg']:.4f}"]
        rows.append(f"  {label:8s} {' '.join(f'{cell:>11s}' for cell in cells)}")
    gain = result["gain"]
    rows.append(
        f"  gain on queries that did not choose: {gain['mean']:+.4f}, 95 in 100 times between "
        f"{gain['low']:+.4f} and {gain['high']:+.4f}"
    )
    if n := result["n_without_relevant"]:
        rows.append(f"{n} queries have no relevant document, and are left out")
    return "\n".join([head, *rows, _verdict(result)])


def asked_of(search: Search, dataset: Dataset) -> list[Asked]:
    """Return the queries of a collection that have a relevant document, by an index's numbers."""
    asked = []
    for id, grades in with_relevant(dataset.judgements).items():
        relevant = [document for document, grade in grades.items() if grade > 0]
        numbers = find_ids(search.keys, relevant)
        missing = np.flatnonzero(numbers < 0)
        numbers[missing] = -2 - missing  # each counts in what is to be found
        known = {int(n): grades[key] for n, key in zip(numbers, relevant, strict=True)}
        own = int(find_ids(search.keys, [id])[0]) if dataset.is_query(id) else -1
        asked.append(Asked(dataset.queries[id], known, own))
    if not asked:
        n = len(dataset.judgements)
        raise ValueError(f"none of the {n} judged queries has a relevant document")
    return asked


def _write(arguments: argparse.Namespace, setting: Setting) -> None:
    editing = Search.edit(Path(arguments.index), threads=arguments.threads, wait=arguments.wait)
    with writing_to(editing) as search:
        fusion = UNSAID
        if setting.candidates is not None:
            weight, candidates = setting.fuse_weight, setting.candidates
            fusion = FusionSettings(DEFAULT_FUSE, weight, candidates, search.fusion.prune)
        search.rank_by(fusion, k1=setting.k1, b=setting.b)


def _told(settings: Sequence[Setting], values: Values, choice: Choice) -> dict[str, Any]:
    means = values.mean(axis=1)
    limits = choice.gain._asdict()
    return {
        "keep_default": not choice.wins,
        "default": _said(settings[0]),
        "best": _said(settings[choice.setting]),
        "default_ndcg": round(float(means[0]), 6),
        "best_ndcg": round(float(means[choice.setting]), 6),
        "gain": {name: round(v, 6) if math.isfinite(v) else None for name, v in limits.items()},
    }


def _said(setting: Setting) -> dict[str, float]:
    return {name: value for name, value in setting._asdict().items() if value is not None}


def _verdict(result: Mapping[str, Any]) -> str:
    if result["keep_default"]:
        return "keep the default: nothing is shown to be better; nothing is written"
    chosen = ", ".join(f"{name} {value:g}" for name, value in result["best"].items())
    if result["dry_run"]:
        return f"better: {chosen}; nothing is written, as --dry-run asks"
    return f"written into {visible(result['index'])}: {chosen}"
