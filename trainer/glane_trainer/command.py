"""`glane train`: its arguments, checked before torch is loaded, and its report."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from glane.commands.usage import UsageError
from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.interrupt import stopped_by_sigterm
from glane_trainer.openmp import wait_asleep
from glane_trainer.settings import (
    DEFAULTS,
    DIMS,
    DOCUMENT_TERMS,
    QUERY_TERMS,
    Device,
    Loss,
    Objective,
    Precision,
    Regulariser,
    Settings,
    Sparsity,
)
from glane_trainer.telling import stage

NUMBERS = {
    "epochs": "times through the data",
    "max-steps": "optimizer steps at most; 0 writes the untrained model",
    "batch-size": "examples in a batch",
    "accumulation": "batches behind one optimizer step",
    "n-negatives": "explicit negatives of an example in a batch",
    "train-document-length": "tokens of a document in training, if the model reads more",
    "eval-steps": "optimizer steps between evaluations",
    "save-steps": "optimizer steps between checkpoints that --resume goes on from",
    "freeze-layers": "first layers to leave as they are",
}
"""Options that are whole numbers; what is not given is as `DEFAULTS` says for the kind."""

SHARES = {
    "lr": "learning rate",
    "projection-lr": "learning rate of what is new",
    "weight-decay": "as in AdamW",
    "warm-up": "share of the steps in which the learning rates rise",
    "clip": "largest norm of a gradient",
    "start-share": "share of the start's weights in what is kept",
    "temperature": "what scores are divided by",
    "teacher-temperature": "what a teacher's scores are divided by",
    "contrastive-weight": "of the contrastive loss beside one with a teacher",
    "query-flops": "weight of the queries' regulariser",
    "document-flops": "weight of the documents' regulariser",
    "flops-rise": "share of the steps in which those weights rise",
}
"""Options that are numbers, likewise."""

CHOICES = {
    "loss": (Loss, "against the batch, or towards a teacher's scores"),
    "query-regulariser": (Regulariser, "of the queries; documents have FLOPS"),
    "device": (Device, "where to compute; auto is CUDA, then MPS, then the CPU"),
    "precision": (Precision, "of the encoder; auto is bf16 or fp16 on CUDA, else fp32"),
}
"""Options that are one of a few words, likewise."""

FIELDS = {
    "train_document_length": "document_length",
    "lr": "learning_rate",
    "projection_lr": "projection_learning_rate",
    "query_flops": "query_weight",
    "document_flops": "document_weight",
    "flops_rise": "rise",
}
"""Fields of the settings that have another name than their option."""

UNSET = {
    "max-steps": "all of the epochs",
    "eval-steps": "the end of each epoch",
    "freeze-layers": "the lower half",
}
"""What holds where a kind's default is no number."""

COUNTED = {
    "own_negatives": "negatives were the example's own positive: dropped",
    "known_negatives": "negatives answer their query by another line: no negatives of it",
    "spelled_otherwise": "examples ask a held-out query in another spelling: dropped",
    "unknown_documents": "documents are judged that the collection lacks: passed over",
    "unknown_queries": "queries are judged that the collection lacks: passed over",
    "unknown_negatives": "ids of the hard negatives are not in the split or corpus: passed over",
}
"""What is said of the counts of `glane_trainer.data.Counts`."""

RULES = Checkpoint(dim=1)
"""The rules of a text's preparation where nothing else is said."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=list(get_args(Kind)), help="kind of model")
    parser.add_argument(
        "--base",
        metavar="NAME_OR_DIR",
        help="encoder or masked model to begin with; no default, needed but with --resume",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="checkpoint to write; no default, needed"
    )
    _add_flags(
        parser,
        {"overwrite": "replace a checkpoint", "resume": "go on with an interrupted training"},
    )
    _add_data_arguments(parser.add_argument_group("data"))
    _add_model_arguments(parser.add_argument_group("model"))
    _add_training_arguments(parser.add_argument_group("training"))


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Check the arguments, then load torch and train."""
    settings = settings_of(arguments)
    check(arguments)
    wait_asleep()
    with stopped_by_sigterm():
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
        lines.append(
            f"held-out NDCG@10 {result['start_score']:.4f} before, {result['best_score']:.4f} "
            f"kept, of step {result['kept_step']}"
        )
    if result["remark"]:
        lines.append(str(result["remark"]))
    if result.get("last"):
        lines.append(f"{result['last']}: what was trained last, of step {result['steps']}")
    return "\n".join(lines)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the kind's settings, changed where an option was given.

    Raises:
        ValueError: If one is out of range.
    """
    options = {name: value for name, value in vars(arguments).items() if value is not None}
    given = {FIELDS.get(name, name): value for name, value in options.items()}
    given["document_length"] = options.get("train_document_length")
    defaults = DEFAULTS[arguments.kind]
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
    if arguments.data is None and arguments.max_steps != 0:
        raise UsageError("--data is missing; only --max-steps 0 does without")
    projected = arguments.kind == "colbert" and arguments.projection == "pca"
    base: str | None = arguments.base
    unread = projected and arguments.data is None
    if unread and base is not None and arguments.dim not in (None, _width(base)):
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


def _add_flags(group: Any, flags: dict[str, str]) -> None:  # noqa: ANN401 (argparse names no type)
    for name, text in flags.items():
        group.add_argument(f"--{name}", action="store_true", help=f"{text}; default no")


def _add_data_arguments(group: Any) -> None:  # noqa: ANN401
    group.add_argument(
        "--data",
        metavar="DIR_OR_FILE",
        help="BEIR folder, or triples as JSON lines; no default, needed but with --max-steps 0",
    )
    group.add_argument("--split", default="train", help="judgements to learn from; default train")
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument(
        "--holdout",
        type=float,
        default=0.1,
        metavar="X",
        help="share of queries to measure on; default 0.1",
    )
    held_out.add_argument(
        "--dev-split", metavar="NAME", help="judgements to measure on instead; default none"
    )


def _add_model_arguments(group: Any) -> None:  # noqa: ANN401
    numbers = {
        "dim": f"width of a vector; default {DIMS['colbert']}, sparse-embed "
        f"{DIMS['sparse-embed']}; colbert untrained: the base's own",
        "query-terms": f"kept at most; default {QUERY_TERMS} where there are terms",
        "document-terms": f"kept at most; default {DOCUMENT_TERMS} where there are terms",
    }
    for name, text in numbers.items():
        group.add_argument(f"--{name}", type=int, metavar="N", help=text)
    for name in ("query-length", "document-length"):
        default = getattr(RULES, name.replace("-", "_"))
        group.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"tokens; default {default}"
        )
    for name in ("query-prefix", "document-prefix"):
        group.add_argument(f"--{name}", default="", help="a marker token, or text; default none")
    group.add_argument(
        "--projection",
        choices=["pca", "random"],
        default="pca",
        help="how that of colbert begins; default pca",
    )
    _add_flags(
        group,
        {
            "inference-free": "splade: no model call for a query",
            "query-expansion": "fill queries with masks",
            "attend-to-expansion": "and attend to them",
            "skip-punctuation": "of documents",
        },
    )


def _add_training_arguments(group: Any) -> None:  # noqa: ANN401
    for options, kind, metavar in ((NUMBERS, int, "N"), (SHARES, float, "X")):
        for name, text in options.items():
            described = f"{text}; default {_default(name)}"
            group.add_argument(f"--{name}", type=kind, metavar=metavar, help=described)
    for name, (choices, text) in CHOICES.items():
        described = f"{text}; default {_default(name)}"
        group.add_argument(f"--{name}", choices=get_args(choices), help=described)
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all that is drawn; default 0"
    )


def _default(option: str) -> str:
    """Return a training option's default, of each kind where they differ."""
    field = option.replace("-", "_")
    field = FIELDS.get(field, field)
    kinds_of: dict[str, list[str]] = {}
    for kind, settings in DEFAULTS.items():
        owner = next(
            part
            for part in (settings, settings.objective, settings.sparsity)
            if field in {f.name for f in fields(part)}
        )
        value = getattr(owner, field)
        shown = UNSET[option] if value is None else f"{value}"
        kinds_of.setdefault(shown, []).append(kind)
    if len(kinds_of) == 1:
        return next(iter(kinds_of))
    return ", ".join(f"{value} ({', '.join(kinds)})" for value, kinds in kinds_of.items())
