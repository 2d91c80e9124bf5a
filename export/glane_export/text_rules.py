"""How a text becomes token ids, in numbers, for programs without glane."""

from __future__ import annotations

from typing import Any

import numpy as np

from glane.model.encoder import n_terms_of
from glane.model.preparation import Role, TextPreparer

TEXT_VERSION = 1


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
