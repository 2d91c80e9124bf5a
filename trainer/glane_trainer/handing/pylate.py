"""PyLate's folder of a ColBERT."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from glane.model.framing import Role
from glane_trainer.colbert import ColBERT
from glane_trainer.handing.parts import (
    Entry,
    identity,
    layers_of,
    write_encoder,
    write_layer,
    write_modules,
)
from glane_trainer.handing.tokens import (
    BLANKS,
    cut,
    differing,
    is_first,
    marked,
    marker_of,
    other_tokens,
    skipped_words,
    write_json,
    write_tokenizer,
    written,
)
from glane_trainer.handing.wanting import Handed, about_blanks, lacking_of, refused
from glane_trainer.model import Model

OWNER = "PyLate"


def hand_to_pylate(model: Model[Any]) -> Handed:
    """Return what PyLate's folder makes of a model.

    A prefix that is a token is PyLate's prefix. Texts of both roles have one prompt there, which
    PyLate applies by itself only if it is the default, and white space around them is dropped.
    """
    if not isinstance(model, ColBERT):
        kind = model.checkpoint.kind
        return refused(f"{OWNER} has late interaction alone, and no {kind}")
    content = written(model, lowers=False)
    lacking, write = _lacking(model, content), partial(_write, model, content)
    remarks = [] if lacking else _remarks(model, content)
    return Handed(lacking, remarks, write, "pylate.models.ColBERT")


def _lacking(model: ColBERT, content: str) -> list[str]:
    checkpoint = model.checkpoint
    lacking = lacking_of(model, OWNER)
    prompts = {role: frame.prompt for role, frame in model.preparer.frames.items()}
    if len(set(prompts.values())) > 1:
        lacking.append(
            f"{OWNER} has one prompt for queries and documents, here they begin with the texts "
            f"{prompts['query']!r} and {prompts['document']!r}"
        )
    if 0 < checkpoint.expansion_length < checkpoint.query_length:
        lacking.append(
            f"{OWNER} expands all queries to `query_length`, here to `expansion_length` "
            f"{checkpoint.expansion_length}"
        )
    if checkpoint.skip_in_queries and len(model.preparer.skipped):
        lacking.append(f"{OWNER} skips tokens of documents alone, here `skip_in_queries` is true")
    if is_first(model) and any(marker_of(model, role) for role in model.preparer.frames):
        lacking.append(f"{OWNER} puts a prefix behind the first token, which here is the text's")
    return lacking or other_tokens(model, OWNER, content, partial(_encode, model))


def _remarks(model: ColBERT, content: str) -> list[str]:
    encode = partial(_encode, model, "document")
    differs = differing(model, "document", content, encode, BLANKS) is not None
    return [about_blanks(OWNER, strips=True)] if differs else []


def _encode(model: ColBERT, role: Role, tokenizer: Tokenizer, text: str) -> list[int]:
    frame = model.preparer.frames[role]
    whole = (frame.prompt + text).strip()
    whole = whole.lower() if model.checkpoint.lower else whole
    marker = marker_of(model, role)
    if marker is None:
        return cut(tokenizer, whole, frame.length)
    return marked(tokenizer, whole, frame.length, marker)


def _write(model: ColBERT, content: str, folder: Path) -> None:
    checkpoint = model.checkpoint
    longest = max(checkpoint.query_length, checkpoint.document_length)
    layers = layers_of(model) or [identity(checkpoint.dim)]
    entries = [Entry("", "sentence_transformers.models.Transformer")]
    entries += [
        Entry(f"{number}_Dense", "pylate.models.Dense.Dense")
        for number in range(1, len(layers) + 1)
    ]
    write_modules(folder, entries)
    write_encoder(folder, model, model.encoder.state_dict(), type(model.encoder).__name__)
    write_tokenizer(folder, model, content, longest)
    for entry, layer in zip(entries[1:], layers, strict=True):
        write_layer(folder / entry.path, layer)
    lowered = {"max_seq_length": longest, "do_lower_case": checkpoint.lower}
    write_json(folder / "sentence_bert_config.json", lowered)
    write_json(folder / "config_sentence_transformers.json", _rules(model))


def _rules(model: ColBERT) -> dict[str, object]:
    checkpoint = model.checkpoint
    prompt = model.preparer.frames["query"].prompt
    prompts = {"query": prompt, "document": prompt}
    return {
        "model_type": "ColBERT",
        "prompts": prompts,
        "default_prompt_name": "query" if prompt else None,
        "similarity_fn_name": "MaxSim",
        "query_prefix": marker_of(model, "query") or "",
        "document_prefix": marker_of(model, "document") or "",
        "query_length": checkpoint.query_length,
        "document_length": checkpoint.document_length,
        "attend_to_expansion_tokens": checkpoint.attend_to_expansion,
        "skiplist_words": skipped_words(model),
        "do_query_expansion": checkpoint.query_expansion,
    }
