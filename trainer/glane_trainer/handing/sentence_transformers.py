"""The folders of sentence-transformers 6: MultiVectorEncoder and SparseEncoder."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from glane.model.framing import Role
from glane_trainer.colbert import ColBERT
from glane_trainer.handing.parts import Entry, layers_of, write_encoder, write_layer, write_modules
from glane_trainer.handing.sparse_encoder import lacking_terms, write_terms
from glane_trainer.handing.tokens import (
    BLANKS,
    cut,
    differing,
    marker_of,
    mask_of,
    skipped_words,
    write_json,
    write_tokenizer,
    written,
)
from glane_trainer.handing.wanting import (
    Handed,
    Texts,
    about_blanks,
    about_case,
    lacking_of,
    refused,
)
from glane_trainer.model import Model
from glane_trainer.splade import Splade

OWNER = "sentence-transformers"

MODULES = "sentence_transformers.base.modules"
MASK = "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
TOKENS = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}


def hand_to_sentence_transformers(model: Model[Any]) -> Handed:
    """Return what a folder of sentence-transformers makes of a model.

    Markers and prompts are its prompts: text, in which a marker's name is a token.
    """
    lacking = lacking_of(model, OWNER)
    content = written(model, lowers=True, markers=True)
    prompts = [_prompt(model, role, content) for role in model.preparer.frames]
    texts = Texts(content, *prompts)
    if isinstance(model, ColBERT):
        lacking += _without_prompt(texts)
        write = partial(_write_vectors, model, texts)
        return Handed(lacking, _remarks(model, texts), write, "MultiVectorEncoder")
    if isinstance(model, Splade):
        lacking += [*lacking_terms(model), *_without_prompt(texts)]
        write = partial(write_terms, model, texts)
        return Handed(lacking, _remarks(model, texts), write, "SparseEncoder")
    return refused(f"{OWNER} has no {model.checkpoint.kind}")


def _prompt(model: Model[Any], role: Role, content: str) -> str | None:
    """Return what gives, put before a text, the tokens that glane makes of it; None if nothing."""
    for prompt in _prompts(model, role):
        if differing(model, role, content, partial(_encode, model, role, prompt)) is None:
            return prompt
    return None


def _prompts(model: Model[Any], role: Role) -> Iterator[str]:
    """Yield the prompts that may do: a tokenizer may want a blank behind a marker, or none."""
    marker, prompt = marker_of(model, role), model.preparer.frames[role].prompt
    if marker is None:
        yield prompt
        return
    yield marker + prompt
    yield f"{marker} {prompt}"


def _without_prompt(texts: Texts) -> list[str]:
    named = {"queries": texts.query_prompt, "documents": texts.document_prompt}
    return [
        f"{OWNER} would make other tokens of {name}, whatever the prompt"
        for name, prompt in named.items()
        if prompt is None
    ]


def _remarks(model: Model[Any], texts: Texts) -> list[str]:
    encode = partial(_encode, model, "document", texts.document_prompt or "")
    found = differing(model, "document", texts.tokenizer_json, encode, BLANKS)
    blanks = [about_blanks(OWNER, strips=False)] if found is not None else []
    return [*blanks, *about_case(model, OWNER)]


def _encode(
    model: Model[Any], role: Role, prompt: str, tokenizer: Tokenizer, text: str
) -> list[int]:
    with_own = not (role == "query" and model.checkpoint.inference_free)
    return cut(tokenizer, prompt + text, model.preparer.frames[role].length, markers=with_own)


def _write_vectors(model: ColBERT, texts: Texts, folder: Path) -> None:
    layers = layers_of(model)
    dense = [
        Entry(f"{number}_Dense", f"{MODULES}.dense.Dense") for number in range(1, len(layers) + 1)
    ]
    mask = Entry(f"{len(layers) + 1}_MultiVectorMask", MASK)
    norm = Entry(f"{len(layers) + 2}_Normalize", f"{MODULES}.normalize.Normalize")
    write_modules(folder, [Entry("", f"{MODULES}.transformer.Transformer"), *dense, mask, norm])
    write_encoder(folder, model, model.encoder.state_dict(), type(model.encoder).__name__)
    write_tokenizer(folder, model, texts.tokenizer_json, model.checkpoint.document_length)
    for entry, layer in zip(dense, layers, strict=True):
        write_layer(folder / entry.path, layer, **TOKENS)
    tasks = ["query", "document"] if model.checkpoint.skip_in_queries else ["document"]
    skipped = {"skiplist_words": skipped_words(model), "skiplist_tasks": tasks}
    write_json(folder / mask.path / "config.json", {**skipped, "keep_only_token_ids": None})
    write_json(folder / norm.path / "config.json", TOKENS)
    write_json(folder / "sentence_bert_config.json", _reading(model))
    rules = {"model_type": "MultiVectorEncoder", "similarity_fn_name": "maxsim"}
    write_json(folder / "config_sentence_transformers.json", {**rules, **texts.prompts()})


def _reading(model: ColBERT) -> dict[str, object]:
    checkpoint = model.checkpoint
    method = {"method": "forward", "method_output_name": "last_hidden_state"}
    reading: dict[str, object] = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": method},
        "module_output_name": "token_embeddings",
        "query_length": checkpoint.query_length,
        "document_length": checkpoint.document_length,
    }
    if checkpoint.query_expansion:
        length = checkpoint.expansion_length or checkpoint.query_length
        reading["query_expansion"] = {
            "strategy": "fixed" if length == checkpoint.query_length else "min",
            "attend": checkpoint.attend_to_expansion,
            "token": mask_of(model),
            "length": length,
        }
    return reading
