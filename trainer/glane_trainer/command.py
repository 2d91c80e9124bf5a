"""`glane train`: its arguments, checked before torch is loaded, and its report."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from glane.commands.usage import UsageError
from glane_trainer.asked import check_sources
from glane_trainer.config import settle as settle
from glane_trainer.interrupt import stopped_by_sigterm
from glane_trainer.openmp import wait_asleep
from glane_trainer.options import SETTING_OF, as_typed
from glane_trainer.options import add_arguments as add_arguments
from glane_trainer.settings import DEFAULTS, Objective, Settings, Sparsity
from glane_trainer.telling import stage

COUNTED = {
    "own_negatives": "negatives were the example's own positive: dropped",
    "known_negatives": "negatives answer their query by another line: no negatives of it",
    "spelled_otherwise": "examples ask a held-out query in another spelling: dropped",
    "unknown_documents": "documents are judged that the collection lacks: passed over",
    "unknown_queries": "queries are judged that the collection lacks: passed over",
    "contradicting": "judgements contradict one before, of the same query and document: the last "
    "counts",
    "without_negatives": "examples have no negatives of their own: other answers of their batch "
    "are theirs",
    "unknown_negatives": "ids of the hard negatives are not in the split or corpus: passed over",
}
"""What is said of the counts of `glane_trainer.data.Counts`."""


FINISHED = ("glane.json", "modules.json", "artifact.metadata", "metadata.json")
"""Files that a base has which may be a finished model, with a width of its own."""


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the arguments, then load torch and train."""
    check_needed(arguments)
    settings = settings_of(arguments)
    check(arguments)
    wait_asleep()
    with stopped_by_sigterm(), as_typed():
        with stage("loading PyTorch"):
            from glane_trainer.job import train_as_asked
        return train_as_asked(arguments, settings)


def show(result: dict[str, Any]) -> str:
    """Return the result as text for a person."""
    width = f", {result['dim']} wide" if result["dim"] else ""
    lines = [f"{result['out']}: {result['kind']}{width}, {result['steps']} steps"]
    if result.get("seconds") is not None:
        lines[0] += f" in {result['seconds']} s on {result['device']} ({result['precision']})"
        lines += _about_data(result["counts"], result["cut"])
    if result.get("start_score") is not None:
        lines.append(_about_score(result))
    if result.get("questions"):
        lines.append(
            f"{result['questions']}: the questions made of documents, with their negatives"
        )
    if result["remark"]:
        lines.append(str(result["remark"]))
    if result.get("pushed"):
        lines.append(f"pushed to {result['pushed']}")
    if result.get("last"):
        lines.append(f"{result['last']}: what was trained last, of step {result['steps']}")
    return "\n".join(lines)


def _about_score(result: dict[str, Any]) -> str:
    told = (
        f"held-out NDCG@10 {result['start_score']:.4f} before, {result['best_score']:.4f} kept, of "
        f"step {result['kept_step']}"
    )
    if 0 < result["start_share"] < 1:
        told += f" with {result['start_share']:.0%} of the start's weights"
    if result["gain"] is not None:
        told += f": {result['gain']:+.4f}"
    if result["gain_interval"] is not None:
        low, high = result["gain_interval"]
        told += f" ({low:+.4f} to {high:+.4f} with 95 %)"
    return told


def check_needed(arguments: argparse.Namespace) -> None:
    """Refuse a call without what every training needs, typed or in the file of --config.

    Raises:
        UsageError: If it is missing.
    """
    if arguments.kind is None:
        raise UsageError("the kind of model is missing: colbert, splade or sparse-embed")
    if arguments.out is None:
        raise UsageError("--out is missing")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the kind's settings, changed where an option was given.

    Raises:
        UsageError: If one is out of range.
    """
    options = {name: value for name, value in vars(arguments).items() if value is not None}
    given = {SETTING_OF.get(name, name): value for name, value in options.items()}
    given["document_length"] = options.get("train_document_length")
    defaults = DEFAULTS[arguments.kind]
    with as_typed(SETTING_OF):
        objective = replace(defaults.objective, **_chosen(defaults.objective, given))
        sparsity = replace(defaults.sparsity, **_chosen(defaults.sparsity, given))
        return replace(defaults, **_chosen(defaults, given), objective=objective, sparsity=sparsity)


def _chosen(settings: Settings | Objective | Sparsity, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is given of the fields of some settings."""
    names = (field.name for field in fields(settings))
    return {name: given[name] for name in names if given.get(name) is not None}


def check(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused without torch.

    Raises:
        UsageError: If an argument is missing that the others need.
    """
    if arguments.base is None and not arguments.resume:
        raise UsageError("--base is missing; only --resume does without")
    has_data = check_sources(arguments)
    if not 0 <= arguments.holdout < 1:
        raise UsageError(f"--holdout must be from 0 to below 1, got {arguments.holdout}")
    unread = not has_data and arguments.kind == "colbert" and arguments.projection == "pca"
    base: str | None = arguments.base
    new = base is not None and not any((Path(base) / name).is_file() for name in FINISHED)
    if unread and base is not None and new and arguments.dim not in (None, _width(base)):
        raise UsageError(
            f"--dim {arguments.dim} needs --data, to project onto the directions of its documents, "
            "or --projection random; without --dim the base's own width is kept"
        )


def _width(base: str) -> int | None:
    """Return how wide a base's vectors are, where it is a folder that says so."""
    try:
        width = json.loads((Path(base) / "config.json").read_text("utf-8"))["hidden_size"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # of the hub, or damaged: the base's reader says so
    return width if isinstance(width, int) else None


def _about_data(counts: dict[str, int], cut: dict[str, int]) -> list[str]:
    """Return what was left out of the data, and what was longer than is read."""
    lines = [f"{counts[name]} {text}" for name, text in COUNTED.items() if counts[name]]
    if cut["queries"]:
        lines.append(f"{cut['queries']} of {cut['of_queries']} queries are cut at --query-length")
    if cut["documents_in_training"]:
        lines.append(
            f"{cut['documents_in_training']} of {cut['of_documents']} documents are cut in "
            f"training, {cut['documents']} of them at --document-length as well"
        )
    return lines
