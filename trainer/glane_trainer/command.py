"""`glane train`: fine-tune a model on a BEIR folder or on triples."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

import torch

from glane.folders import check_new
from glane.threads import check_threads
from glane_trainer.data import TrainingData, read_data
from glane_trainer.devices import Device, Precision
from glane_trainer.models import ColBERT, Rules
from glane_trainer.projection import principal_projection, sample
from glane_trainer.settings import Settings
from glane_trainer.state import FOLDER, check_identity, model_folder
from glane_trainer.training import train

NUMBERS = {
    "epochs": "times through the data",
    "max-steps": "optimizer steps at most; 0 writes the untrained model",
    "batch-size": "examples in a batch",
    "accumulation": "batches behind one optimizer step",
    "n-negatives": "explicit negatives of an example in a batch",
    "eval-steps": "optimizer steps between evaluations, default each epoch",
    "save-steps": "optimizer steps between checkpoints that --resume goes on from",
    "freeze-layers": "first layers to leave as they are, default half",
}
"""Whole numbers of `Settings`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("kind", choices=["colbert"], help="kind of model")
    parser.add_argument("--base", metavar="NAME_OR_DIR", help="encoder to begin with")
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
    lines = [f"{result['out']}: {result['kind']}, {result['dim']} wide, {result['steps']} steps"]
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
    group.add_argument("--dim", type=int, metavar="N", help="default 128; untrained, the base's")
    group.add_argument("--projection", choices=["pca", "random"], default="pca")
    group.add_argument("--query-length", type=int, default=32, metavar="N", help="in tokens")
    group.add_argument("--document-length", type=int, default=300, metavar="N", help="in tokens")
    group.add_argument("--query-prefix", default="", help="a marker token, or text")
    group.add_argument("--document-prefix", default="", help="a marker token, or text")
    group.add_argument("--query-expansion", action="store_true", help="fill queries with masks")
    group.add_argument("--attend-to-expansion", action="store_true", help="and attend to them")
    group.add_argument("--skip-punctuation", action="store_true", help="in documents")


def _add_training_arguments(group: Any) -> None:  # noqa: ANN401
    defaults = Settings()
    for name, text in NUMBERS.items():
        value = getattr(defaults, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=int, default=value, metavar="N", help=text)
    group.add_argument(
        "--train-document-length",
        type=int,
        default=defaults.document_length,
        metavar="N",
        help="tokens of a document in training, if the model reads more",
    )
    for name, setting in RATES.items():
        value = getattr(defaults, setting)
        group.add_argument(f"--{name}", type=float, default=value, metavar="X", help=setting)
    group.add_argument("--device", choices=get_args(Device), default="auto")
    group.add_argument("--precision", choices=get_args(Precision), default="auto")
    group.add_argument("--seed", type=int, default=0, metavar="N")


RATES = {
    "lr": "learning_rate",
    "projection-lr": "projection_learning_rate",
    "weight-decay": "weight_decay",
    "warm-up": "warm_up",
    "clip": "clip",
    "temperature": "temperature",
    "start-share": "start_share",
}
"""Options and the fields of `Settings` that they set."""


def _settings(arguments: argparse.Namespace) -> Settings:
    given = vars(arguments)
    names = {field.name: field.name for field in fields(Settings)}
    names |= {setting: option.replace("-", "_") for option, setting in RATES.items()}
    names["document_length"] = "train_document_length"
    return Settings(**{name: given[key] for name, key in names.items() if key in given})


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
    return {
        "query_length": arguments.query_length,
        "document_length": arguments.document_length,
        "query_prefix": arguments.query_prefix,
        "document_prefix": arguments.document_prefix,
        "query_expansion": arguments.query_expansion,
        "attend_to_expansion": arguments.attend_to_expansion,
        "skip_punctuation": arguments.skip_punctuation,
    }


def _saved_model(arguments: argparse.Namespace, out: Path) -> ColBERT:
    """Return the model of an interrupted training, refusing arguments that would change it."""
    model = ColBERT.load(model_folder(out))
    asked: dict[str, Any] = {**_rules(arguments)}
    for name in ("base", "dim"):
        if getattr(arguments, name) is not None:
            asked[name] = getattr(arguments, name)
    check_identity(asdict(model.checkpoint), asked)
    return model


def _new_model(arguments: argparse.Namespace, data: TrainingData | None) -> ColBERT:
    if arguments.base is None:
        raise ValueError("--base is missing; only --resume does without")
    dim = arguments.dim
    if dim is None and arguments.max_steps != 0:
        dim = 128
    rules = _rules(arguments)
    model = ColBERT.from_base(arguments.base, dim=dim, seed=arguments.seed, **rules)
    narrower = model.dim < int(model.encoder.config.hidden_size)
    if arguments.projection == "pca" and narrower:
        if data is None:
            raise ValueError("a projection from the data needs --data, or --projection random")
        texts = sample([example.positive for example in data.examples], arguments.seed)
        model.projection = principal_projection(model, texts)
    return model
