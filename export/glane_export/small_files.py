"""The files of a model folder that stand beside its graph and decide on a vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from glane.model.checkpoint import QUERY_WEIGHTS
from glane.model.model_files import TEXT
from glane_export.text_rules import text_rules
from glane_trainer import Splade
from glane_trainer.model import Model


def write_small_files(model: Model[Any], folder: Path) -> None:
    """Write `glane.json`, `tokenizer.json`, `text.json` and, where there is one, the table."""
    model.checkpoint.write(folder)
    tokenizer_json = whole_texts(model.preparer.tokenizer_json)
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    text = json.dumps(text_rules(model.preparer), indent=2, ensure_ascii=False)
    (folder / TEXT).write_text(text + "\n", encoding="utf-8")
    if isinstance(model, Splade) and model.checkpoint.inference_free:
        np.save(folder / QUERY_WEIGHTS, model.query_table().detach().cpu().float().numpy())


def whole_texts(tokenizer_json: str) -> str:
    """Return a `tokenizer.json` that neither cuts nor pads; one that does not stays to the byte.

    A base's own truncation and padding would decide what another program reads, which knows
    nothing of glane's lengths.
    """
    record = json.loads(tokenizer_json)
    if all(record.get(name) is None for name in ("truncation", "padding")):
        return tokenizer_json
    record.update(truncation=None, padding=None)
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
