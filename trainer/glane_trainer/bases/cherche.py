"""Reads a ColBERT, Splade or SparseEmbed of neural-cherche."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glane.errors import CheckpointError
from glane.model.checkpoint import Kind
from glane_trainer.bases.found import Found
from glane_trainer.bases.json_files import number, read_if_there, require, text
from glane_trainer.bases.pickles import read_pickle
from glane_trainer.bases.tokenizers import OwnTokenizer, read_tokenizer
from glane_trainer.projection import linear
from glane_trainer.rules import Rules

METADATA, LINEAR = "metadata.json", "linear.pt"
KEYS = {
    "max_length_query",
    "max_length_document",
    "query_prefix",
    "document_prefix",
    "padding",
    "truncation",
    "add_special_tokens",
    "n_mask_tokens",
}

NAMES: dict[Kind, str] = {"colbert": "ColBERT", "splade": "Splade", "sparse-embed": "SparseEmbed"}

REMARKS: dict[Kind, tuple[str, ...]] = {
    "colbert": (
        "its padding, which counts as document tokens of vector 0 and lifts similarities below 0, "
        "is not taken",
    ),
    "splade": (),
    "sparse-embed": (
        "weights, prompts and projection are taken; its softmax over terms is not, but one over "
        "tokens, as in the paper, and vectors are multiplied by their terms' weights: scores are "
        "others, so train it further",
    ),
}


def is_cherche(folder: Path) -> bool:
    """Return whether a folder holds a model of neural-cherche."""
    if (folder / LINEAR).is_file():
        return True
    path = folder / METADATA
    return path.is_file() and "max_length_query" in read_if_there(path)


def read_cherche(name: str, folder: Path) -> Found:
    """Read a model of neural-cherche, its projection by a reader of tensors that runs no code.

    Raises:
        CheckpointError: If it has what glane has no counterpart for, named.
    """
    path = folder / METADATA
    record = read_if_there(path, KEYS)
    require(record.get("truncation", True), (True, "longest_first"), "truncation", path)
    require(record.get("add_special_tokens", True), (True,), "add_special_tokens", path)
    kind = _kind(folder, record)
    projection = None
    if kind != "splade":
        tensors = read_pickle(folder / LINEAR)
        if set(tensors) != {"weight"}:
            raise CheckpointError(
                f"{str(folder / LINEAR)!r} must hold the tensor `weight`, got {sorted(tensors)[:3]}"
            )
        projection = linear(tensors["weight"])
    tokenizer = read_tokenizer(folder)
    return Found(
        name=name,
        what=f"a {NAMES[kind]} of neural-cherche",
        kind=kind,
        transformer=folder,
        tokenizer_json=tokenizer.json,
        rules=_rules(kind, record, tokenizer, path),
        projection=projection,
        remarks=REMARKS[kind],
    )


def _kind(folder: Path, record: dict[str, Any]) -> Kind:
    if not (folder / LINEAR).is_file():
        return "splade"
    return "sparse-embed" if "n_mask_tokens" in record else "colbert"


def _rules(kind: Kind, record: dict[str, Any], tokenizer: OwnTokenizer, path: Path) -> Rules:
    usual = {"query": "[Q] ", "document": "[D] "} if kind == "colbert" else {}
    lengths = {
        role: number(record, f"max_length_{role}", path, length) or length
        for role, length in (("query", 64), ("document", 256))
    }
    rules = Rules(
        query_prefix="",
        document_prefix="",
        query_prompt=text(record, "query_prefix", path, usual.get("query", "")),
        document_prompt=text(record, "document_prefix", path, usual.get("document", "")),
        query_length=lengths["query"],
        document_length=lengths["document"],
        pad_token=tokenizer.pad_of(path.parent),
    )
    if kind == "colbert":
        return rules | Rules(
            query_expansion=False,
            attend_to_expansion=False,
            skip_punctuation=False,
            skipped_tokens=[],
            projection_layers=[],
        )
    n_masks = record.get("n_mask_tokens", 3)
    if type(n_masks) is not int or n_masks < 0 or (n_masks and not tokenizer.mask):
        raise CheckpointError(f"{str(path)!r}: n_mask_tokens {n_masks!r} cannot be put on texts")
    return rules | Rules(
        suffix=" " + " ".join([tokenizer.mask] * n_masks),
        query_terms=lengths["query"],
        document_terms=lengths["document"],
    )
