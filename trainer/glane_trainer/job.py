"""What `glane train` does, once its arguments are checked: reads, makes the model and trains it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from glane.commands.documents import fields_of
from glane.store.folders import check_new, new_folder
from glane.threads import check_threads
from glane_trainer import adapters, lengths
from glane_trainer.asked import from_documents, read_sources, told_sources
from glane_trainer.config import RUN, resolved
from glane_trainer.data import TrainingData
from glane_trainer.devices import available_device
from glane_trainer.examples import evenly
from glane_trainer.hub import make_repository, push
from glane_trainer.language import language_warning
from glane_trainer.mining.documents import questions_of, read_documents
from glane_trainer.mining.learning import Labelling, label, questions_file
from glane_trainer.model import Model
from glane_trainer.models import load_model
from glane_trainer.rules import Rules
from glane_trainer.settings import Settings
from glane_trainer.starts import Start, new_model
from glane_trainer.state import FOLDER, check_identity, is_log_alone, model_folder
from glane_trainer.telling import is_first, stage, tell
from glane_trainer.trackers import check_trackers
from glane_trainer.training import train

LOOKED_AT = 50_000
"""Examples whose documents decide a projection, a table of idf, and the language."""


def train_as_asked(arguments: argparse.Namespace, settings: Settings) -> dict[str, object]:
    """Read the data, make the model, train it and write it."""
    torch.set_num_threads(check_threads(arguments.threads))
    out = Path(arguments.out)
    untrained = settings.max_steps == 0
    _check_out(out, arguments, is_written=is_first() or not untrained)
    check_trackers(settings.report_to)
    if settings.lora is not None:
        adapters.check_installed()
    pushed = arguments.push_to_hub if is_first() else None
    if pushed is not None:
        make_repository(pushed)  # now, not after a training
    model, data = _begun(arguments, settings, out)
    beside = {RUN: resolved(arguments, settings, model.checkpoint)}
    if data is None or untrained:
        if is_first():
            with new_folder(out, overwrite=arguments.overwrite or is_log_alone(out)) as folder:
                model.write(folder)
                (folder / RUN).write_text(beside[RUN], encoding="utf-8")
        result: dict[str, object] = {"out": str(out), "steps": 0, "remark": "Untrained."}
    else:
        mode = "resume" if arguments.resume else "overwrite" if arguments.overwrite else "new"
        warning = language_warning(_documents(data), model.preparer)
        if warning:
            tell(warning)
        result = dict(train(model, data, out, settings, mode, beside))  # type: ignore[arg-type]
        result["remark"] = f"{result['remark']} {warning}".strip()
    if data is not None and from_documents(arguments):
        result["questions"] = str(questions_file(out))
    if pushed is not None:
        with stage(f"pushing {str(out)!r} to the hub"):
            result["pushed"] = push(out, pushed)
    checkpoint = model.checkpoint
    return {"kind": checkpoint.kind, "base": checkpoint.base, "dim": checkpoint.dim, **result}


def _begun(
    arguments: argparse.Namespace, settings: Settings, out: Path
) -> tuple[Model[Any], TrainingData | None]:
    """Return the model that the training begins or goes on with, and what it is to learn from."""
    if from_documents(arguments):
        return _begun_alone(arguments, settings, out)
    data = None
    if arguments.data is not None or arguments.documents is not None:
        with stage(f"reading {told_sources(arguments)}"):
            data = read_sources(arguments)
    if arguments.resume:
        return _saved_model(arguments, out), data
    if data is None:
        return _new_model(arguments, None, []), None
    return _new_model(arguments, _documents(data), _queries(data)), data


def _begun_alone(
    arguments: argparse.Namespace, settings: Settings, out: Path
) -> tuple[Model[Any], TrainingData | None]:
    """Return the same where questions are made of documents, which the model has to label."""
    questions = questions_file(out)
    if arguments.resume:
        model = _saved_model(arguments, out)
    else:
        with stage(f"making questions of {arguments.documents}"):
            documents = read_documents(arguments.documents, *fields_of(arguments))
            alone = questions_of(documents, arguments.seed)
        model = _new_model(arguments, alone.documents(), alone.queries())
        if settings.max_steps == 0:
            return model, None
        model.to(available_device(settings.device))
        labelling = Labelling(settings.objective.loss != "contrastive", arguments.seed)
        label(alone, model, questions, labelling, overwrite=arguments.overwrite)
    with stage(f"reading {told_sources(arguments)}"):
        return model, read_sources(arguments, questions)


def _check_out(out: Path, arguments: argparse.Namespace, *, is_written: bool) -> None:
    """Refuse a folder that may not be written; one that another process writes is its affair."""
    if arguments.resume:
        model_folder(out)
    elif not is_written:
        return
    elif (out / FOLDER / "model").is_dir() and not arguments.overwrite:
        raise FileExistsError(
            f"{str(out)!r} holds an interrupted training; pass --resume to go on with it, or "
            "--overwrite to begin again"
        )
    else:
        check_new(out, overwrite=arguments.overwrite or is_log_alone(out))


def _documents(data: TrainingData) -> list[str]:
    """Return the positives of the examples, of many of so many that are evenly chosen."""
    return [example.positive for example in evenly(data.examples, LOOKED_AT)]


def _queries(data: TrainingData) -> list[str]:
    """Return the distinct queries of some examples, likewise."""
    found = evenly(data.examples, lengths.LOOKED_AT)
    return list(dict.fromkeys(example.anchor for example in found))


def _rules(arguments: argparse.Namespace) -> Rules:
    given = vars(arguments)
    rules = {name: given[name] for name in Rules.__annotations__ if given.get(name) is not None}
    return cast(Rules, rules)


def _saved_model(arguments: argparse.Namespace, out: Path) -> Model[Any]:
    """Return the model of an interrupted training, refusing arguments that would change it."""
    with stage(f"loading what {str(out)!r} holds of the training"):
        model = load_model(model_folder(out))
    asked: dict[str, Any] = {"kind": arguments.kind, **_rules(arguments)}
    for name in ("base", "dim"):
        if getattr(arguments, name) is not None:
            asked[name] = getattr(arguments, name)
    check_identity(asdict(model.checkpoint), asked)
    return model


def _new_model(
    arguments: argparse.Namespace, documents: list[str] | None, queries: list[str]
) -> Model[Any]:
    start = Start(
        dim=arguments.dim,
        principal=arguments.projection == "pca",
        seed=arguments.seed,
        documents=documents,
        queries=queries,
        trained=arguments.max_steps != 0,
    )
    with stage(f"loading {arguments.base}, and making of it a {arguments.kind}"):
        return new_model(arguments.kind, arguments.base, start, _rules(arguments))
