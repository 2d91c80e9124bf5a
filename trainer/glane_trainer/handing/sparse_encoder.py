"""The folder of sentence-transformers' SparseEncoder, of a SPLADE."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from glane_trainer.handing.parts import Entry, write_encoder, write_modules
from glane_trainer.handing.tokens import write_json, write_tokenizer
from glane_trainer.handing.wanting import Texts
from glane_trainer.splade import Splade
from glane_trainer.weights import write_tensors

OWNER = "sentence-transformers"

TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"
ROUTER = "sentence_transformers.base.modules.router.Router"
POOLING = "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling"
TABLE = "sentence_transformers.sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding"


def lacking_terms(model: Splade) -> list[str]:
    """Return what SparseEncoder cannot hold of a SPLADE, a sentence each."""
    lacking = []
    n_query, n_document = model.n_terms("query"), model.n_terms("document")
    if n_query != n_document:
        lacking.append(
            f"{OWNER} keeps as many terms of a query as of a document, here `query_terms` is "
            f"{n_query} and `document_terms` {n_document}; where it is meant so, write one number "
            "for both into glane.json"
        )
    if model.head is None:
        lacking.append(f"{OWNER} needs a masked language model, here the decoder is the encoder's")
    elif any(bool(tensor.any()) for tensor in _added(model).values()):
        name = type(model.head).__name__
        lacking.append(f"transformers' {name} has no bias behind its decoder, here there is one")
    return lacking


def write_terms(model: Splade, texts: Texts, folder: Path) -> None:
    """Write the folder: one encoder, or a router with a table for queries."""
    checkpoint = model.checkpoint
    encoder = Entry("document_0_Transformer" if checkpoint.inference_free else "", TRANSFORMER)
    pooling = Entry("document_1_SpladePooling" if encoder.path else "1_SpladePooling", POOLING)
    if checkpoint.inference_free:
        write_modules(folder, [Entry("", ROUTER)])
        for entry in (encoder, pooling):
            (folder / entry.path).mkdir()
        _write_router(model, texts, folder, [encoder, pooling])
    else:
        write_modules(folder, [encoder, pooling])
    _write_encoder(model, texts, folder / encoder.path)
    pooled = {"pooling_strategy": checkpoint.pooling, "activation_function": checkpoint.activation}
    write_json(folder / pooling.path / "config.json", {**pooled, "embedding_dimension": None})
    rules: dict[str, object] = {"model_type": "SparseEncoder", "similarity_fn_name": "dot"}
    if model.n_terms("query") < model.n_vocabulary:
        rules["max_active_dims"] = model.n_terms("query")
    write_json(folder / "config_sentence_transformers.json", {**rules, **texts.prompts()})


def _write_encoder(model: Splade, texts: Texts, folder: Path) -> None:
    head = model.head
    assert head is not None
    write_encoder(folder, model, _tensors(model), type(head).__name__)
    write_tokenizer(folder, model, texts.tokenizer_json, model.checkpoint.document_length)
    method = {"method": "forward", "method_output_name": "logits"}
    reading = {
        "transformer_task": "fill-mask",
        "modality_config": {"text": method},
        "module_output_name": "token_embeddings",
        "query_length": model.checkpoint.query_length,
        "document_length": model.checkpoint.document_length,
    }
    write_json(folder / "sentence_bert_config.json", reading)


def _write_router(model: Splade, texts: Texts, folder: Path, document: list[Entry]) -> None:
    table = Entry("query_0_SparseStaticEmbedding", TABLE)
    place = folder / table.path
    place.mkdir()
    write_tensors(place / "model.safetensors", {"weight": model.query_table()})
    write_json(place / "config.json", {"frozen": False})
    write_tokenizer(place, model, texts.tokenizer_json, model.checkpoint.query_length)
    router = {
        "types": {entry.path: entry.type for entry in (table, *document)},
        "structure": {"query": [table.path], "document": [entry.path for entry in document]},
        "parameters": {"default_route": "document", "allow_empty_key": True, "route_mappings": {}},
    }
    write_json(folder / "router_config.json", router)


def _tensors(model: Splade) -> dict[str, Tensor]:
    added = _added(model)
    return {name: tensor for name, tensor in _of_encoder(model).items() if name not in added}


def _added(model: Splade) -> dict[str, Tensor]:
    """Return the weights that transformers' own class does not have."""
    head = model.head
    assert head is not None
    with torch.device("meta"):
        own = type(head)(head.config).state_dict()
    return {name: tensor for name, tensor in _of_encoder(model).items() if name not in own}


def _of_encoder(model: Splade) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.tensors().items() if name != "query_weights"}
