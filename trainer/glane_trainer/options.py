"""The options of `glane train`: what each is for, its default, and the setting that it gives."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, get_args

from glane.commands.usage import UsageError
from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.asked import add_data_arguments
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

NUMBERS = {
    "epochs": "times that all of the data is learned from",
    "max-steps": "optimizer steps at most; 0 writes the model untrained",
    "batch-size": "examples learned from at once; the positive of each is a negative of the others",
    "accumulation": "batches that are one for the loss, encoded one after the other",
    "n-negatives": "negatives of its own that an example brings into a batch, at most",
    "train-document-length": "tokens of a document that training reads, where the model reads "
    "more: fewer are faster",
    "patience": "measurements without a better one after which the training ends",
    "max-terms": "splade and sparse-embed: terms that a document of the kept model may have on "
    "average",
    "eval-queries": "held-out queries that are measured, at most",
    "eval-steps": "optimizer steps between two measurements on the held-out queries",
    "save-steps": "optimizer steps between checkpoints that --resume goes on from; 0 for none",
    "freeze-layers": "first layers of the encoder that are left as they are; 0 trains all",
    "lora": "train two narrow factors of this rank beside each matrix of the encoder, in its place "
    "(pip install 'glane[lora]'), which are merged into it when it is saved; 8 to 64 are usual, "
    "with a higher --lr",
}
"""Options that are whole numbers; what is not given is as `DEFAULTS` says for the kind."""

SHARES = {
    "lr": "highest learning rate of the encoder",
    "projection-lr": "highest learning rate of the layer that is new",
    "weight-decay": "how fast weights shrink, as in AdamW",
    "warm-up": "first part of the steps, 0 to below 1, in which learning rates rise; then they "
    "fall to 0",
    "clip": "greatest length of a gradient; one that is longer is shortened to it",
    "start-share": "how much of the start's weights is mixed into those that are kept: 0 for "
    "nothing, 0.5 for half",
    "temperature": "divides the model's scores before the loss: lower heeds close negatives more",
    "teacher-temperature": "divides the teacher's scores, with --loss kl or margin-mse",
    "contrastive-weight": "how much of the contrastive loss is added to --loss kl or margin-mse",
    "query-flops": "how hard the terms of queries are pushed to 0: more leaves fewer terms; for "
    "splade and sparse-embed",
    "document-flops": "the same for the terms of documents",
    "flops-rise": "first part of the steps, 0 to 1, in which those two rise from 0",
}
"""Options that are numbers, likewise."""

CHOICES = {
    "loss": (
        Loss,
        "contrastive learns positives and negatives apart; margin-mse and kl imitate a teacher, "
        "whose scores are in the data as `teacher_scores`",
    ),
    "query-regulariser": (
        Regulariser,
        "how the terms of queries are pushed to 0: by flops, as those of documents, or l1",
    ),
    "device": (Device, "where to compute; auto is CUDA, then MPS, then the CPU"),
    "precision": (
        Precision,
        "numbers that the encoder computes with; auto is bf16 or fp16 on CUDA, else fp32",
    ),
}
"""Options that are one of a few words, likewise."""

FLAGS = {
    "inference-free": "splade: give the words of a query learned weights, without a model",
    "query-expansion": "colbert: fill queries up to --query-length with mask tokens",
    "attend-to-expansion": "colbert: let the query's other tokens see those mask tokens",
    "skip-punctuation": "colbert: leave the vectors of punctuation out of documents",
}
"""Options of the model that are said or not."""

SWITCHES = {
    "compile": "compile the encoder first (torch.compile), which takes minutes",
    "recompute": "compute the encoder's inner values again for the gradient, in the place of "
    "keeping them: less memory, a third more time",
}
"""Options of the training that are said or not."""

SETTING_OF = {
    "train_document_length": "document_length",
    "lr": "learning_rate",
    "projection_lr": "projection_learning_rate",
    "query_flops": "query_weight",
    "document_flops": "document_weight",
    "flops_rise": "rise",
}
"""Settings that have another name than their option."""

UNSET = {
    "max-steps": "all of the epochs",
    "eval-steps": "the end of each epoch",
    "eval-queries": "all, or as many as take about the time of the training",
    "patience": "no such end",
    "max-terms": "no limit",
    "start-share": "a quarter or more, by the held-out queries; 0 where they show that to be "
    "better, or without any",
    "freeze-layers": "the lower half",
    "lora": "none: the matrices themselves are trained",
}
"""What holds where a kind's default is no number."""

RULES = Checkpoint(dim=1)
"""The rules of a text's preparation where nothing else is said."""

NAMES = {f.name for part in (RULES, Settings(), Objective(), Sparsity()) for f in fields(part)}
NAMES |= {"holdout", "dev_split"}
"""What errors call the settings; as options they are typed with hyphens, and some otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "kind",
        nargs="?",
        choices=list(get_args(Kind)),
        help="what to make: colbert compares the vectors of tokens, and reranks; splade weighs "
        "terms, and retrieves; sparse-embed does both",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="options from a TOML file, by their names without the hyphens before them, such as "
        "batch-size = 32; what is typed as well is as it is typed; each checkpoint has such a "
        "file, run.toml",
    )
    parser.add_argument(
        "--base",
        metavar="NAME_OR_DIR",
        help="model to begin with, which must know the language: a folder, or a name on the "
        "Hugging Face hub; a finished model of the same kind (of glane, PyLate, "
        "sentence-transformers, Stanford's ColBERT or neural-cherche) with all that is its own, or "
        "a sentence encoder for colbert, a masked language model for the others; default none: "
        "needed, but with --resume",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the trained model; default none: needed"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a folder that is there")
    parser.add_argument(
        "--resume", action="store_true", help="go on with a training that was interrupted"
    )
    parser.add_argument(
        "--push-to-hub",
        metavar="REPO",
        help="put the model on the Hugging Face hub when it is trained, as OWNER/NAME, private "
        "where that is new; the token is that of `hf auth login`, or HF_TOKEN",
    )
    add_data_arguments(parser.add_argument_group("data"))
    _add_model_arguments(parser.add_argument_group("model"))
    _add_training_arguments(parser.add_argument_group("training"))


@contextmanager
def as_typed(settings: Mapping[str, str] = {}) -> Iterator[None]:
    """Let an error call a setting as its option is typed: `learning_rate` is --lr.

    Args:
        settings: The setting of an option, where they are not called alike.

    Raises:
        UsageError: In place of a `ValueError` that names a setting first, or in backticks.
    """
    option_of = {setting: option for option, setting in settings.items()}

    def typed(found: re.Match[str]) -> str:
        name = found[0].strip("`")
        option = option_of.get(name, name)
        return f"--{option.replace('_', '-')}" if name in NAMES else found[0]

    try:
        yield
    except ValueError as error:
        told = re.sub(r"^\w+(?= )|`\w+`", typed, str(error))
        if told == str(error):
            raise
        raise UsageError(told) from None


def _add_model_arguments(group: Any) -> None:  # noqa: ANN401
    numbers = {
        "dim": f"numbers in a vector; default {DIMS['colbert']} for colbert, or the base's own "
        f"where it is finished or not trained, and {DIMS['sparse-embed']} for sparse-embed; fewer "
        "than a finished colbert has are the principal directions of its vectors",
        "query-terms": "terms that a query keeps, at most, of splade and sparse-embed; default "
        f"{QUERY_TERMS}",
        "document-terms": f"terms that a document keeps, likewise; default {DOCUMENT_TERMS}",
    }
    for name, text in numbers.items():
        group.add_argument(f"--{name}", type=int, metavar="N", help=text)
    more = {"query": f"{RULES.query_length}, or more where queries of the data are longer"}
    for role in ("query", "document"):
        usual = more.get(role, getattr(RULES, f"{role}_length"))
        group.add_argument(
            f"--{role}-length",
            type=int,
            metavar="N",
            help=f"tokens of a {role} that are read, at most; default {usual}, or the base's own "
            "where it is a finished model",
        )
    for role in ("query", "document"):
        group.add_argument(
            f"--{role}-prefix",
            metavar="TEXT",
            help=f"put before each {role}: a marker token, or any text with its blank; default "
            "nothing, or what the base has",
        )
    group.add_argument(
        "--projection",
        choices=["pca", "random"],
        default="pca",
        help="colbert: how the layer that makes vectors --dim wide begins, by the principal "
        "directions of the documents or at random",
    )
    for name, text in FLAGS.items():
        group.add_argument(
            f"--{name}",
            action=argparse.BooleanOptionalAction,
            help=f"{text}; default no, or what the base has",
        )


def _add_training_arguments(group: Any) -> None:  # noqa: ANN401
    for options, kind, metavar in ((NUMBERS, int, "N"), (SHARES, float, "X")):
        for name, text in options.items():
            described = f"{text}; default {_default(name)}"
            group.add_argument(f"--{name}", type=kind, metavar=metavar, help=described)
    for name, (choices, text) in CHOICES.items():
        described = f"{text}; default {_default(name)}"
        group.add_argument(f"--{name}", choices=get_args(choices), help=described)
    for name, text in SWITCHES.items():
        group.add_argument(f"--{name}", action="store_true", default=None, help=text)
    group.add_argument(
        "--report-to",
        type=_names,
        metavar="NAMES",
        help="trackers that are told of each step, with commas between them: tensorboard, wandb, "
        "mlflow and what else accelerate knows, where it is installed; default none",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="decides all that is drawn by chance: what is held out, the order, dropout",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _default(option: str) -> str:
    """Return a training option's default, of each kind where they differ."""
    field = option.replace("-", "_")
    field = SETTING_OF.get(field, field)
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
