"""Reads a SPLADE of sentence-transformers' `SparseEncoder`, inference-free ones included."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from glane.errors import CheckpointError
from glane_trainer.bases.found import Found
from glane_trainer.bases.json_files import (
    flag,
    number,
    read_if_there,
    read_record,
    refuse_unknown,
    require,
)
from glane_trainer.bases.modules import (
    OF_TOP,
    TOP,
    TRANSFORMERS,
    Module,
    module_of,
    own_length,
    prompts_of,
    transformer_settings,
)
from glane_trainer.bases.pickles import read_any_tensors
from glane_trainer.bases.tokenizers import UNBOUNDED, OwnTokenizer, read_tokenizer
from glane_trainer.rules import Rules

OF_POOLING = {
    "pooling_strategy",
    "activation_function",
    "embedding_dimension",
    "word_embedding_dimension",
    "chunk_size",
}
ROUTERS = ("Router", "Asym")
OF_ROUTER = {"types", "structure", "parameters"}


class Roads(NamedTuple):
    """The modules that a query and a document go through."""

    query: list[Module]
    document: list[Module]


def is_sparse(folder: Path, modules: list[Module]) -> bool:
    """Return whether a model weighs the terms of the vocabulary, by what its files say."""
    types = {module.type for module in _roads(modules).document}
    return (
        read_if_there(folder / TOP).get("model_type") == "SparseEncoder"
        or "SpladePooling" in types
        or "SparseStaticEmbedding" in types
    )


def read_sparse(name: str, folder: Path, modules: list[Module]) -> Found:
    """Read a model that weighs terms.

    Raises:
        CheckpointError: If it has what glane has no counterpart for, named.
    """
    path = folder / TOP
    top = read_if_there(path, OF_TOP | {"max_active_dims"})
    require(top.get("similarity_fn_name"), (None, "dot"), "similarity", path)
    roads = _roads(modules)
    types = [module.type for module in roads.document]
    if len(types) != 2 or types[0] not in TRANSFORMERS or types[1] != "SpladePooling":
        raise CheckpointError(
            f"{str(folder)!r}: documents go through {', '.join(types)}; glane can only do a "
            "masked language model and SpladePooling"
        )
    encoder, pooling = roads.document
    settings = transformer_settings(encoder)
    require(settings["transformer_task"], ("fill-mask",), "the task", path)
    lower = flag(settings, "do_lower_case", path, default=False)
    tokenizer = read_tokenizer(encoder.folder, lower=lower)
    length = own_length(settings, tokenizer, encoder.folder)
    n_terms = read_record(encoder.folder / "config.json").get("vocab_size")
    kept = number(top, "max_active_dims", path, n_terms if isinstance(n_terms, int) else UNBOUNDED)
    assert kept is not None
    prompts = prompts_of(top, path)
    rules = Rules(
        query_terms=kept,
        document_terms=kept,
        query_length=length,
        document_length=length,
        query_prefix="",
        document_prefix="",
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", ""),
        pad_token=tokenizer.pad_of(encoder.folder),
        inference_free=False,
    )
    rules |= _pooling(pooling)
    table = None
    if roads.query != roads.document:
        static = _static(roads.query, folder)
        own = read_tokenizer(static.folder)
        table = _table(static, own, tokenizer, lower=lower)
        rules |= Rules(inference_free=True, query_length=own.length or UNBOUNDED)
    free = ", inference-free" if table is not None else ""
    return Found(
        name=name,
        what=f"a SparseEncoder of sentence-transformers{free}",
        kind="splade",
        transformer=encoder.folder,
        tokenizer_json=tokenizer.json,
        rules=rules,
        table=table,
    )


def _pooling(module: Module) -> Rules:
    path = module.folder / "config.json"
    record = module.settings(OF_POOLING)
    pooling = record.get("pooling_strategy", "max")
    activation = record.get("activation_function", "relu")
    require(pooling, ("max", "sum"), "pooling_strategy", path)
    require(activation, ("relu", "log1p_relu"), "activation_function", path)
    return Rules(pooling=pooling, activation=activation)


def _roads(modules: list[Module]) -> Roads:
    """Return the modules by role; without a router both go the same way."""
    if modules[0].type not in ROUTERS:
        return Roads(modules, modules)
    folder = modules[0].folder
    names = ("router_config.json", "config.json")
    path = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
    record = read_record(path, OF_ROUTER)
    parameters = record.get("parameters") or {}
    refuse_unknown(parameters, {"default_route", "allow_empty_key", "route_mappings"}, path)
    require(parameters.get("route_mappings"), (None, {}), "route_mappings", path)
    types, structure = record.get("types"), record.get("structure")
    if not isinstance(types, dict) or not isinstance(structure, dict):
        raise CheckpointError(f"{str(path)!r} must have types and structure")
    require(sorted(structure), (["document", "query"],), "its routes are not these: it", path)
    found = {id: module_of(str(kind), folder / id, path) for id, kind in types.items()}
    behind = modules[1:]
    roads = {role: [found[id] for id in ids] + behind for role, ids in structure.items()}
    return Roads(roads["query"], roads["document"])


def _static(modules: list[Module], folder: Path) -> Module:
    types = [module.type for module in modules]
    if types != ["SparseStaticEmbedding"]:
        raise CheckpointError(
            f"{str(folder)!r}: queries go through {', '.join(types)}, and documents another way; "
            "glane can only do a SparseStaticEmbedding for queries"
        )
    return modules[0]


def _table(module: Module, own: OwnTokenizer, other: OwnTokenizer, *, lower: bool) -> Tensor:
    """Return the weight of each token in a query."""
    path = module.folder / "config.json"
    record = read_if_there(path, {"frozen", "path"})
    words, vocabulary = own.tokenizer, other.tokenizer
    same = words.get_vocab() == vocabulary.get_vocab() and _read_alike(words, vocabulary)
    if not same or lower:
        raise CheckpointError(
            f"{str(module.folder)!r} has another tokenizer than the documents' model; glane has one"
        )
    weights = read_any_tensors(module.folder).pop("weight", None) if "path" not in record else None
    if weights is None:
        weights = _of_json(module.folder / str(record.get("path")), words)
    if weights.ndim != 1 or len(weights) != len(words.get_vocab()):
        raise CheckpointError(f"{str(module.folder)!r}: its weights do not fit its vocabulary")
    if not bool((weights >= 0).all()):
        raise CheckpointError(
            f"{str(module.folder)!r} has weights below 0, which glane's queries do not have"
        )
    return weights.float()


def _of_json(path: Path, words: Tokenizer) -> Tensor:
    """Return the weights of a JSON file of tokens, 0 for those that it does not name."""
    record: dict[str, Any] = read_record(path)
    weights = torch.zeros(len(words.get_vocab()))
    for token, weight in record.items():
        id = words.token_to_id(token)
        if id is None or not isinstance(weight, (int, float)):
            raise CheckpointError(f"{str(path)!r}: {token!r} has no place in the vocabulary")
        weights[id] = float(weight)
    return weights


def _read_alike(first: Tokenizer, second: Tokenizer) -> bool:
    """Return whether two tokenizers normalize and split alike."""
    first_parts, second_parts = (
        [part and part.__getstate__() for part in (words.normalizer, words.pre_tokenizer)]
        for words in (first, second)
    )
    return bool(first_parts == second_parts)
