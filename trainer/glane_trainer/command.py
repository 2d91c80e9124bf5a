"""`glane train`: fine-tune a model on a BEIR folder or on triples."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

import torch

from glane.store.folders import check_new
from glane.threads import check_threads
from glane_trainer.data import TrainingData, read_data
from glane_trainer.devices import Device, Precision
from glane_trainer.losses import Loss, Objective
from glane_trainer.model import Model, Rules
from glane_trainer.models import MODELS, load_model
from glane_trainer.settings import DEFAULTS, Settings
from glane_trainer.sparsity import Regulariser, Sparsity
from glane_trainer.starts import Start, new_model
from glane_trainer.state import FOLDER, check_identity, model_folder
from glane_trainer.training import train

NUMBERS = {
    "epochs": "times through the data",
    "max-steps": "optimizer steps at most; 0 writes the untrained model",
    "batch-size": "examples in a batch",
    "accumulation": "batches behind one optimizer step",
    "n-negatives": "explicit negatives of an example in a batch",
    "train-document-length": "tokens of a document in training, if the model reads more",
    "eval-steps": "optimizer steps between evaluations, default each epoch",
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

FIELDS = {
    "train_document_length": "document_length",
    "lr": "learning_rate",
    "projection_lr": "projection_learning_rate",
    "query_flops": "query_weight",
    "document_flops": "document_weight",
    "flops_rise": "rise",
}
"""Fields of the settings that have another name than their option."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=list(MODELS), help="kind of model")
    parser.add_argument(
        "--base", metavar="NAME_OR_DIR", help="encoder or masked model to begin with"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="checkpoint to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training")
    _add_data_arguments(parser.add_argument_group("data"))
    _add_model_arguments(parser.add_argument_group("model"))
    _add_training_arguments(parser.add_argument_group("training"))


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Read the data, make the model, train it and write it."""
    torch.set_num_threads(check_threads(arguments.threads))
    settings = _settings(arguments)
    out = Path(arguments.out)
    _check_out(out, arguments)
    untrained = settings.max_steps == 0
    data = None
    if arguments.data is not None:
        data = _read(arguments)
    elif not untrained:
        raise ValueError("--data is missing; only --max-steps 0 does without")
    model = _saved_model(arguments, out) if arguments.resume else _new_model(arguments, data)
    if data is None or untrained:
        model.save(out, overwrite=arguments.overwrite)
        result: dict[str, object] = {"out": str(out), "steps": 0, "remark": "Untrained."}
    else:
        mode = "resume" if arguments.resume else "overwrite" if arguments.overwrite else "new"
        result = dict(train(model, data, out, settings, mode))  # type: ignore[arg-type]
    checkpoint = model.checkpoint
    return {"kind": checkpoint.kind, "base": checkpoint.base, "dim": checkpoint.dim, **result}


def show(result: dict[str, object]) -> str:
    """Return the result as text for a person."""
    width = f", {result['dim']} wide" if result["dim"] else ""
    lines = [f"{result['out']}: {result['kind']}{width}, {result['steps']} steps"]
    if result.get("seconds") is not None:
        lines[0] += f" in {result['seconds']} s on {result['device']} ({result['precision']})"
    if result.get("start_score") is not None:
        lines.append(
            f"held-out NDCG@10 {result['start_score']:.4f} before, {result['best_score']:.4f} "
            f"kept, of step {result['kept_step']}"
        )
    if result["remark"]:
        lines.append(str(result["remark"]))
    return "\n".join(lines)


def _add_data_arguments(group: Any) -> None:  # noqa: ANN401 (argparse names no public type)
    group.add_argument(
        "--data", metavar="DIR_OR_FILE", help="BEIR folder, or triples as JSON lines"
    )
    group.add_argument("--split", default="train", help="judgements to learn from, default train")
    held_out = group.add_mutually_exclusive_group()
    held_out.add_argument(
        "--holdout", type=float, default=0.1, metavar="X", help="share of queries to measure on"
    )
    held_out.add_argument("--dev-split", metavar="NAME", help="judgements to measure on instead")


def _add_model_arguments(group: Any) -> None:  # noqa: ANN401
    group.add_argument(
        "--dim", type=int, metavar="N", help="default 128, sparse-embed 64; colbert untrained: all"
    )
    group.add_argument("--projection", choices=["pca", "random"], default="pca", help="of colbert")
    group.add_argument("--query-terms", type=int, metavar="N", help="kept at most, default 64")
    group.add_argument("--document-terms", type=int, metavar="N", help="likewise, default 256")
    group.add_argument(
        "--inference-free", action="store_true", help="splade: no model call for a query"
    )
    group.add_argument("--query-length", type=int, default=32, metavar="N", help="in tokens")
    group.add_argument("--document-length", type=int, default=300, metavar="N", help="in tokens")
    group.add_argument("--query-prefix", default="", help="a marker token, or text")
    group.add_argument("--document-prefix", default="", help="a marker token, or text")
    group.add_argument("--query-expansion", action="store_true", help="fill queries with masks")
    group.add_argument("--attend-to-expansion", action="store_true", help="and attend to them")
    group.add_argument("--skip-punctuation", action="store_true", help="in documents")


def _add_training_arguments(group: Any) -> None:  # noqa: ANN401
    for options, kind, metavar in ((NUMBERS, int, "N"), (SHARES, float, "X")):
        for name, text in options.items():
            group.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    group.add_argument("--loss", choices=get_args(Loss))
    group.add_argument("--query-regulariser", choices=get_args(Regulariser))
    group.add_argument("--device", choices=get_args(Device))
    group.add_argument("--precision", choices=get_args(Precision))
    group.add_argument("--seed", type=int, default=0, metavar="N")


def _settings(arguments: argparse.Namespace) -> Settings:
    """Return the kind's settings, changed where an option was given."""
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


def _check_out(out: Path, arguments: argparse.Namespace) -> None:
    if arguments.resume:
        model_folder(out)
    elif (out / FOLDER).is_dir() and not arguments.overwrite:
        raise FileExistsError(
            f"{str(out)!r} holds an interrupted training; pass --resume to go on with it, or "
            "--overwrite to begin again"
        )
    else:
        check_new(out, overwrite=arguments.overwrite)


def _read(arguments: argparse.Namespace) -> TrainingData:
    return read_data(
        arguments.data,
        split=arguments.split,
        dev_split=arguments.dev_split,
        holdout=arguments.holdout,
        seed=arguments.seed,
    )


def _rules(arguments: argparse.Namespace) -> Rules:
    given = vars(arguments)
    rules = {name: given[name] for name in Rules.__annotations__ if given[name] is not None}
    return cast(Rules, rules)


def _saved_model(arguments: argparse.Namespace, out: Path) -> Model[Any]:
    """Return the model of an interrupted training, refusing arguments that would change it."""
    model = load_model(model_folder(out))
    asked: dict[str, Any] = {"kind": arguments.kind, **_rules(arguments)}
    for name in ("base", "dim"):
        if getattr(arguments, name) is not None:
            asked[name] = getattr(arguments, name)
    check_identity(asdict(model.checkpoint), asked)
    return model


def _new_model(arguments: argparse.Namespace, data: TrainingData | None) -> Model[Any]:
    if arguments.base is None:
        raise ValueError("--base is missing; only --resume does without")
    start = Start(
        dim=arguments.dim,
        principal=arguments.projection == "pca",
        seed=arguments.seed,
        documents=None if data is None else [example.positive for example in data.examples],
        trained=arguments.max_steps != 0,
    )
    return new_model(arguments.kind, arguments.base, start, _rules(arguments))
