"""BERT's tokenizer as rules for `static/tokenizer.js`: what it does to each character, asked of it.

Its tables of characters are those of the library's Unicode, which nobody else has: so they are not
derived but read off, one character after another.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from glane.model.framing import plain_tokenizer
from glane.model.preparation import TextPreparer
from glane_export.text_rules import text_rules
from glane_export.web.patterns import CODES, SURROGATES, Patterns
from glane_export.web.refusing import NotForBrowsers

PARTS = {
    "normalizer": "BertNormalizer",
    "pre_tokenizer": "BertPreTokenizer",
    "model": "WordPiece",
}
"""What a tokenizer is made of that can be carried."""


def tokenizer_rules(preparer: TextPreparer) -> dict[str, Any]:
    """Return as JSON how a query becomes token ids.

    Args:
        preparer: Of the model.

    Raises:
        NotForBrowsers: If its tokenizer is not BERT's, or its rules ask for what is not carried.
    """
    record = json.loads(preparer.tokenizer_json)
    _check(record, preparer)
    tokenizer = plain_tokenizer(preparer.tokenizer_json.encode())
    patterns = Patterns()
    rules = text_rules(preparer)
    frame = {**rules["query"], "pad_id": rules["pad_id"], "room": preparer.frames["query"].room}
    model = record["model"]
    return {
        "frame": {**frame, "strip": preparer.checkpoint.strip},
        "vocabulary": model["vocab"],
        "unknown": model["vocab"][model["unk_token"]],
        "continuing": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "specials": {token["content"]: token["id"] for token in record["added_tokens"]},
        **_characters(tokenizer, patterns),
        "classes": patterns.classes,
    }


def _check(record: dict[str, Any], preparer: TextPreparer) -> None:
    for part, kind in PARTS.items():
        found = (record.get(part) or {}).get("type")
        if found != kind:
            raise NotForBrowsers(
                f"the model's tokenizer has the {part} {found}, and {kind} is what is carried to "
                "a browser; take a model with BERT's tokenizer"
            )
    settings = ("single_word", "lstrip", "rstrip", "normalized")
    for token in record["added_tokens"]:
        told = [name for name in settings if token[name]]
        if told:
            raise NotForBrowsers(
                f"the tokenizer's token {token['content']!r} has {told[0]}, which is not carried "
                "to a browser; take a model without it"
            )
    if preparer.checkpoint.lower:
        raise NotForBrowsers(
            "the model's rules put texts into lower case before the tokenizer does, which is not "
            "carried to a browser; take a model whose tokenizer does so"
        )


def _characters(tokenizer: Tokenizer, patterns: Patterns) -> dict[str, Any]:
    """Return what is done to characters: classes of those that are treated alike, and the rest."""
    normalize = tokenizer.normalizer.normalize_str
    removed, spaced, decomposed, changed = (np.zeros(CODES, np.bool_) for _ in range(4))
    others: dict[str, str] = {}
    every = np.ones(CODES, np.bool_)
    every[SURROGATES] = False
    for code in np.flatnonzero(every).tolist():
        one = chr(code)
        made = normalize(one)
        if made == one:
            continue
        if not made:
            removed[code] = True
        elif made == f" {one} ":
            spaced[code] = True
        elif 0xAC00 <= code <= 0xD7A3 and made == unicodedata.normalize("NFD", one):
            decomposed[code] = True
        else:
            changed[code], others[one] = True, made
    classes = {"removed": removed, "spaced": spaced, "decomposed": decomposed, "changed": changed}
    written = {name: patterns.of(mask) for name, mask in classes.items()}
    return {
        "changed": others,
        "patterns": {
            **written,
            "words": _words(tokenizer, patterns),
            "edges": patterns.pattern(r"^\s+") + "|" + patterns.pattern(r"\s+") + "$",
        },
    }


def _words(tokenizer: Tokenizer, patterns: Patterns) -> str:
    """Return what matches a mark of punctuation, or a run of all that is neither mark nor space."""
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    marks, inside = np.zeros(CODES, np.bool_), np.ones(CODES, np.bool_)
    inside[SURROGATES] = False
    for code in np.flatnonzero(inside).tolist():
        n_parts = len(split(f"a{chr(code)}a"))
        if n_parts > 1:  # two words where it parts them, three where it is one of its own
            inside[code] = False
            marks[code] = n_parts == 3
    return f"{patterns.of(marks)}|{patterns.of(inside)}+"
