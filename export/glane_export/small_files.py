"""The files of a model folder that stand beside its graph and decide on a vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from glane.model.checkpoint import QUERY_WEIGHTS
from glane.model.encoder import n_terms_of
from glane.model.model_files import FUSION, TEXT
from glane.model.preparation import Role, TextPreparer
from glane.retrievers.fusion import FusionSettings
from glane_trainer import Splade
from glane_trainer.model import Model

TEXT_VERSION = 1


def write_small_files(model: Model[Any], folder: Path) -> None:
    """Write `glane.json`, `tokenizer.json`, `text.json` and, where there is one, the table."""
    model.checkpoint.write(folder)
    tokenizer_json = whole_texts(model.preparer.tokenizer_json)
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    text = json.dumps(text_rules(model.preparer), indent=2, ensure_ascii=False)
    (folder / TEXT).write_text(text + "\n", encoding="utf-8")
    if isinstance(model, Splade) and model.checkpoint.inference_free:
        np.save(folder / QUERY_WEIGHTS, model.query_table().detach().cpu().float().numpy())


def write_fusion(fusion: FusionSettings, folder: Path) -> None:
    """Write `fusion.json`, where anything is said of it."""
    if said := fusion.said():
        text = json.dumps(said, indent=2)
        (folder / FUSION).write_text(text + "\n", encoding="utf-8")


def text_rules(preparer: TextPreparer) -> dict[str, Any]:
    """Return how a text becomes token ids, in numbers, for programs without glane.

    `docs/model-folder.md` says what each entry means; glane itself reads `glane.json`.
    """
    return {
        "format_version": TEXT_VERSION,
        "kind": preparer.checkpoint.kind,
        "dim": preparer.checkpoint.dim,
        "pad_id": preparer.pad_id,
        "query": _role_rules(preparer, "query"),
        "document": _role_rules(preparer, "document"),
    }


def _role_rules(preparer: TextPreparer, role: Role) -> dict[str, Any]:
    checkpoint, frame = preparer.checkpoint, preparer.frames[role]
    is_query = role == "query"
    skips = not is_query or checkpoint.skip_in_queries
    return {
        "before": frame.before,
        "after": frame.after,
        "prompt": frame.prompt,
        "suffix": frame.suffix,
        "length": frame.length,
        "fill_to": preparer.length(np.empty(0, np.int64), role),
        "fill_id": preparer.mask_id if is_query else None,
        "attend_to_fill": is_query and checkpoint.attend_to_expansion,
        "skipped_ids": preparer.skipped.tolist() if skips else [],
        "n_terms": n_terms_of(checkpoint, role),
        "from_table": is_query and checkpoint.inference_free,
    }


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
