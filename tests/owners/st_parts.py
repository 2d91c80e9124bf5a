"""What makes models of sentence-transformers 6 has in common: its modules, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.owners.record import base, edit

CONFIG = "config_sentence_transformers.json"
TRANSFORMER = "sentence_bert_config.json"
PROMPTS = {"query": "query: ", "document": "passage: "}

Change = Callable[[Path], None]


def st() -> Any:
    return import_module("sentence_transformers")


def part(name: str) -> Any:
    """Return a class of one of the packages of modules."""
    for place in (
        "base.modules",
        "sparse_encoder.modules",
        "multi_vector_encoder.modules",
        "sentence_transformer.modules",
    ):
        found = getattr(import_module(f"sentence_transformers.{place}"), name, None)
        if found is not None:
            return found
    raise ValueError(f"sentence-transformers has no module {name!r}")


def transformer(kind: str = "bert", **settings: Any) -> Any:
    """Return the module that reads texts, with rules of queries and documents in its settings."""
    settings.setdefault("processor_kwargs", {"model_max_length": 100})
    return part("Transformer")(base(kind), **settings)


def lowered_by_tokenizer(folder: Path) -> None:
    """Let `tokenizer_config.json` alone lower a cased `tokenizer.json`."""
    edit(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=True)


def lowered_by_module(folder: Path) -> None:
    """Let the module that reads texts lower them."""
    edit(folder / TRANSFORMER, do_lower_case=True)
