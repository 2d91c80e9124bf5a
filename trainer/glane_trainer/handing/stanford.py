"""The checkpoint of colbert-ai, Stanford's ColBERT."""

from __future__ import annotations

import string
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from glane.model.framing import Role
from glane_trainer.colbert import ColBERT
from glane_trainer.handing.parts import layers_of, write_encoder
from glane_trainer.handing.tokens import (
    BLANKS,
    cut,
    differing,
    is_first,
    marked,
    marker_of,
    other_tokens,
    plain_of,
    write_json,
    write_tokenizer,
    written,
)
from glane_trainer.handing.wanting import Handed, about_blanks, about_case, lacking_of, refused
from glane_trainer.model import Model
from glane_trainer.projection import spelled

OWNER = "colbert-ai"


def hand_to_stanford(model: Model[Any]) -> Handed:
    """Return what colbert-ai's checkpoint makes of a model.

    It always has one linear layer without bias, a marker token before queries and one before
    documents, and expansion; it skips punctuation or nothing. It inserts a marker's id itself;
    sentence-transformers, which reads such checkpoints too, writes its name and a blank before
    the text, and so the tokenizer knows both.
    """
    if not isinstance(model, ColBERT):
        kind = model.checkpoint.kind
        return refused(f"{OWNER} has late interaction alone, and no {kind}")
    content = written(model, lowers=True, markers=True, rstrip=True)
    lacking, write = _lacking(model, content), partial(_write, model, content)
    remarks = [] if lacking else _remarks(model, content)
    return Handed(lacking, remarks, write, "HF_ColBERT")


def _lacking(model: ColBERT, content: str) -> list[str]:
    checkpoint = model.checkpoint
    lacking = lacking_of(model, OWNER)
    for role, frame in model.preparer.frames.items():
        if marker_of(model, role) is None:
            lacking.append(f"{OWNER} needs `{role}_prefix` to be one token of the vocabulary")
        if frame.prompt:
            lacking.append(f"{OWNER} has no text before a {role}, here it is {frame.prompt!r}")
    if is_first(model):
        lacking.append(f"{OWNER} puts a marker behind the first token, which here is the text's")
    if layers_of(model) and spelled(layers_of(model)):
        lacking.append(
            f"{OWNER} has one linear layer without bias, here `projection_layers` is "
            f"{checkpoint.projection_layers}"
        )
    lacking += [*_about_expansion(model), *_about_skipping(model)]
    return lacking or other_tokens(model, OWNER, content, partial(_encode, model))


def _about_expansion(model: ColBERT) -> list[str]:
    checkpoint = model.checkpoint
    if not checkpoint.query_expansion:
        return [f"{OWNER} always expands queries, here `query_expansion` is false"]
    if 0 < checkpoint.expansion_length < checkpoint.query_length:
        length = checkpoint.expansion_length
        return [f"{OWNER} expands to `query_length`, here `expansion_length` is {length}"]
    return []


def _about_skipping(model: ColBERT) -> list[str]:
    skipped = set(model.preparer.skipped.tolist())
    if not skipped:
        return []
    if model.checkpoint.skip_in_queries:
        return [f"{OWNER} skips tokens of documents alone, here `skip_in_queries` is true"]
    if skipped != _punctuation(model):
        return [f"{OWNER} skips the first token of each mark of punctuation, here others are"]
    return []


def _punctuation(model: ColBERT) -> set[int]:
    plain = plain_of(model)
    ids = [plain.encode(mark, add_special_tokens=False).ids for mark in string.punctuation]
    return {found[0] for found in ids if found}


def _remarks(model: ColBERT, content: str) -> list[str]:
    encode = partial(_encode, model, "document")
    remarks = about_case(model, OWNER)
    if differing(model, "document", content, encode, BLANKS) is not None:
        remarks.append(about_blanks(OWNER, strips=False))
    elif differing(model, "document", content, partial(_read_as_text, model), BLANKS) is not None:
        remarks.append(about_blanks("sentence-transformers, which reads this too,", strips=True))
    return remarks


def _read_as_text(model: ColBERT, tokenizer: Tokenizer, text: str) -> list[int]:
    """Return a document's ids as sentence-transformers makes them of such a checkpoint."""
    whole = f"{marker_of(model, 'document')} {text}"
    return cut(tokenizer, whole, model.checkpoint.document_length)


def _encode(model: ColBERT, role: Role, tokenizer: Tokenizer, text: str) -> list[int]:
    marker = marker_of(model, role)
    assert marker is not None
    return marked(tokenizer, text, model.preparer.frames[role].length, marker)


def _write(model: ColBERT, content: str, folder: Path) -> None:
    checkpoint = model.checkpoint
    layers = layers_of(model)
    weight = layers[0].linear.weight if layers else torch.eye(checkpoint.dim)
    prefix = model.encoder.base_model_prefix
    tensors = {f"{prefix}.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    write_encoder(folder, model, {**tensors, "linear.weight": weight}, "HF_ColBERT")
    longest = max(checkpoint.query_length, checkpoint.document_length)
    write_tokenizer(folder, model, content, longest)
    write_json(folder / "artifact.metadata", _metadata(model))


def _metadata(model: ColBERT) -> dict[str, object]:
    checkpoint = model.checkpoint
    return {
        "query_token_id": marker_of(model, "query"),
        "doc_token_id": marker_of(model, "document"),
        "query_token": "[Q]",
        "doc_token": "[D]",
        "dim": checkpoint.dim,
        "query_maxlen": checkpoint.query_length,
        "doc_maxlen": checkpoint.document_length,
        "mask_punctuation": bool(len(model.preparer.skipped)),
        "attend_to_mask_tokens": checkpoint.attend_to_expansion,
        "similarity": "cosine",
        "interaction": "colbert",
    }
