"""The tokenizer of a checkpoint, as another library is to have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from glane.model.framing import Role, frame, plain_tokenizer
from glane_trainer.bases.tokenizers import name_of
from glane_trainer.model import Model

PROBES = (
    "how do plants eat light",
    "",
    "A well-known café, Straße: 3.14 (2,850 km)?!",
    "検索エンジン 🎉",
    "word " * 40 + "end",
)
"""Texts whose tokens are compared with what the other library will make of them."""

BLANKS = ("  blanks on both sides\t",)
"""A text of which libraries differ in what they keep."""

Encode = Callable[[Tokenizer, str], list[int]]
"""How a library turns a text into ids, by the tokenizer that it is given."""

EncodeRole = Callable[[Role, Tokenizer, str], list[int]]
"""The same of a text in a role."""


def plain_of(model: Model[Any]) -> Tokenizer:
    """Return a model's tokenizer, which neither cuts nor pads."""
    return plain_tokenizer(model.preparer.tokenizer_json.encode())


def marker_of(model: Model[Any], role: Role) -> str | None:
    """Return the token that a role's prefix is; None where it has none, or is text."""
    plain = plain_of(model)
    bare = replace(model.checkpoint, query_prefix="", document_prefix="")
    without = frame(plain, bare, role).before
    if model.preparer.frames[role].before == without:
        return None
    id = model.preparer.frames[role].before[min(1, len(without))]
    return name_of(plain, id)


def is_first(model: Model[Any]) -> bool:
    """Return whether a marker would be a text's first token, the tokenizer having none itself."""
    plain = plain_of(model)
    bare = replace(model.checkpoint, query_prefix="", document_prefix="", inference_free=False)
    return not frame(plain, bare, "document").before


def skipped_words(model: Model[Any]) -> list[str]:
    """Return the names of the tokens that are left out of documents, each once, by id."""
    ids = sorted(set(model.preparer.skipped.tolist()))
    plain = plain_of(model)
    return [name_of(plain, id) for id in ids]


def mask_of(model: Model[Any]) -> str | None:
    """Return the token that queries are expanded with; None where they are not."""
    if model.preparer.mask_id is None:
        return None
    return name_of(plain_of(model), model.preparer.mask_id)


def written(model: Model[Any], *, lowers: bool, markers: bool = False, rstrip: bool = False) -> str:
    """Return the content of `tokenizer.json`, without truncation and padding.

    Args:
        model: Of glane.
        lowers: Whether it is the tokenizer that puts a text into lower case, where the checkpoint
            says so.
        markers: Whether markers are to be found wherever their names stand in a text.
        rstrip: Whether white space behind a marker's name belongs to it.
    """
    known = json.loads(plain_of(model).to_str())
    found = [marker_of(model, role) for role in model.preparer.frames] if markers else []
    for name in {name for name in found if name is not None}:
        entries = [entry for entry in known["added_tokens"] if entry["content"] != name]
        entries.append({**_special(model, name), "rstrip": rstrip})
        known["added_tokens"] = sorted(entries, key=lambda entry: int(entry["id"]))
    if lowers and model.checkpoint.lower:
        own = [known["normalizer"]] if known["normalizer"] else []
        steps = [{"type": "Lowercase"}, *own]
        known["normalizer"] = {"type": "Sequence", "normalizers": steps}
    return json.dumps(known, ensure_ascii=False)


def write_tokenizer(folder: Path, model: Model[Any], content: str, length: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`.

    Args:
        folder: Which is there.
        model: Whose mask and pad tokens are named.
        content: Of `tokenizer.json`.
        length: Tokens that a text is cut at where nothing else says so.
    """
    plain = plain_tokenizer(content.encode())
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    names = {
        "pad_token": name_of(plain, model.preparer.pad_id),
        "unk_token": getattr(plain.model, "unk_token", None),
        "mask_token": mask_of(model),
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # reads tokenizer.json as it is
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": length,
        "clean_up_tokenization_spaces": False,
        **{name: token for name, token in names.items() if token is not None},
    }
    write_json(folder / "tokenizer_config.json", config)


def differing(
    model: Model[Any],
    role: Role,
    content: str,
    encode: Encode,
    probes: Sequence[str] = PROBES,
) -> str | None:
    """Return the first probe that another library would turn into other tokens than glane.

    Args:
        model: Of glane, before expansion.
        role: Of the probes.
        content: Of the `tokenizer.json` that the library gets.
        encode: How it turns a text into ids.
        probes: Texts to compare.
    """
    rows = model.preparer.tokenize(probes, role).rows
    tokenizer = plain_tokenizer(content.encode())
    for text, row in zip(probes, rows, strict=True):
        if encode(tokenizer, text) != row.tolist():
            return text
    return None


def other_tokens(model: Model[Any], owner: str, content: str, encode: EncodeRole) -> list[str]:
    """Return for which text another library would make other tokens, if for any, a sentence.

    Args:
        model: Of glane, before expansion.
        owner: Name of the library.
        content: Of the `tokenizer.json` that the library gets.
        encode: How it turns a text in a role into ids.
    """
    for role in model.preparer.frames:
        text = differing(model, role, content, partial(encode, role))
        if text is not None:
            return [f"{owner} would make other tokens of the text {text[:40]!r}"]
    return []


def cut(tokenizer: Tokenizer, text: str, length: int, *, markers: bool = True) -> list[int]:
    """Return the ids of a text, cut at a length; with the tokenizer's own markers, or without."""
    tokenizer.enable_truncation(length)
    return list(tokenizer.encode(text, add_special_tokens=markers).ids)


def marked(tokenizer: Tokenizer, text: str, length: int, marker: str) -> list[int]:
    """Return the ids of a text, cut at a length, with a marker put behind the first of them."""
    ids = cut(tokenizer, text, length - 1)
    known = tokenizer.token_to_id(marker)
    assert known is not None
    return [*ids[:1], known, *ids[1:]]


def write_json(path: Path, record: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _special(model: Model[Any], name: str) -> dict[str, Any]:
    id = plain_of(model).token_to_id(name)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": name, **flags, "special": True}
