"""Reads the encoder of a dense model of sentence-transformers, or of transformers alone."""

from __future__ import annotations

from pathlib import Path

from glane_trainer.bases.found import Found
from glane_trainer.bases.json_files import flag, read_if_there, read_record, require
from glane_trainer.bases.modules import (
    OF_TOP,
    TOP,
    TRANSFORMERS,
    Module,
    prompts_of,
    transformer_settings,
)
from glane_trainer.bases.tokenizers import read_tokenizer
from glane_trainer.rules import Rules

BEHIND = ("Pooling", "Dense", "Normalize", "LayerNorm", "Dropout")
"""Modules that may come behind the encoder, and work on a vector a text."""


def read_dense_model(name: str, folder: Path, modules: list[Module]) -> Found:
    """Read a model that gives one vector a text; its encoder and prompts are what is taken.

    Raises:
        CheckpointError: If its encoder is none of transformers, or what is behind it is not known.
    """
    path = folder / TOP
    top = read_if_there(path, OF_TOP | {"truncate_dim"})
    encoder, *behind = modules
    require(encoder.type, TRANSFORMERS, "the first module", path)
    for module in behind:
        require(module.type, BEHIND, "a module behind the encoder", path)
    settings = transformer_settings(encoder)
    lower = flag(settings, "do_lower_case", path, default=False)
    tokenizer = read_tokenizer(encoder.folder, lower=lower)
    prompts = prompts_of(top, path)
    passage = next((k for k in ("document", "passage", "corpus") if prompts.get(k)), "document")
    rules = Rules(pad_token=tokenizer.pad_of(encoder.folder))
    for role, key in (("query", "query"), ("document", passage)):
        if prompt := prompts.get(key):
            rules[f"{role}_prompt"] = prompt  # type: ignore[literal-required]
    layers = [module.type for module in behind if module.type in ("Dense", "LayerNorm")]
    remarks = (
        (f"its {' and '.join(layers)} behind the pooling is not for tokens, and not taken",)
        if layers
        else ()
    )
    return Found(
        name=name,
        what="a dense model of sentence-transformers, whose encoder is taken",
        kind=None,
        transformer=encoder.folder,
        tokenizer_json=tokenizer.json,
        rules=rules,
        remarks=remarks,
    )


def read_transformer(name: str, folder: Path) -> Found:
    """Read a model of transformers."""
    tokenizer = read_tokenizer(folder)
    classes = read_record(folder / "config.json").get("architectures") or ["an encoder"]
    return Found(
        name=name,
        what=f"{' and '.join(map(str, classes))} of transformers",
        kind=None,
        transformer=folder,
        tokenizer_json=tokenizer.json,
        rules=Rules(pad_token=tokenizer.pad_of(folder)),
    )
