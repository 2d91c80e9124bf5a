"""Reads a ColBERT of Stanford's library, `colbert-ai`."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from torch import Tensor

from glane.errors import CheckpointError
from glane_trainer.bases.found import Found
from glane_trainer.bases.json_files import (
    flag,
    number,
    read_if_there,
    refuse_unknown,
    require,
    text,
)
from glane_trainer.bases.pickles import PICKLE, WEIGHTS, read_pickle
from glane_trainer.bases.tokenizers import OwnTokenizer, read_tokenizer
from glane_trainer.projection import linear
from glane_trainer.rules import Rules
from glane_trainer.weights import read_some

METADATA = "artifact.metadata"
LINEAR = "linear.weight"

OF_RUNS = """
overwrite root experiment index_root name rank nranks amp total_visible_gpus gpus
avoid_fork_if_possible checkpoint model triples collection queries index_name bsize accumsteps lr
maxsteps save_every resume resume_optimizer fixed warmup warmup_bert relu nway use_ib_negatives
reranker distillation_alpha ignore_scores model_name index_path index_bsize nbits kmeans_niters
pool_factor clustering_mode protected_tokens ncells partitions centroid_score_threshold ndocs
load_index_with_mmap meta query_token doc_token
"""
"""Settings of a training, an index or a search, that change no vector."""

OF_VECTORS = """
query_token_id doc_token_id query_maxlen doc_maxlen dim mask_punctuation attend_to_mask_tokens
similarity interaction config
"""
KNOWN = frozenset((OF_RUNS + OF_VECTORS).split())


def is_stanford(folder: Path) -> bool:
    """Return whether a folder holds a ColBERT of Stanford's, by its class or its metadata."""
    if (folder / METADATA).is_file():
        return True
    return "HF_ColBERT" in (read_if_there(folder / "config.json").get("architectures") or [])


def read_stanford(name: str, folder: Path) -> Found:
    """Read a ColBERT of Stanford's library.

    Raises:
        CheckpointError: If it has what glane has no counterpart for, named.
    """
    path = folder / METADATA
    record = _settings(path)
    tokenizer = read_tokenizer(folder)
    require(text(record, "similarity", path, "cosine"), ("cosine",), "similarity", path)
    require(text(record, "interaction", path, "colbert"), ("colbert",), "interaction", path)
    weight = _linear(folder)
    if weight is None:
        raise CheckpointError(f"{str(folder)!r} lacks {LINEAR!r}, the projection of a ColBERT")
    if number(record, "dim", path, len(weight)) != len(weight):
        raise CheckpointError(
            f"{str(path)!r}: dim is {record['dim']}, but {LINEAR!r} has {len(weight)}"
        )
    markers = {}
    for role, key, usual in (
        ("query", "query_token_id", "[unused0]"),
        ("document", "doc_token_id", "[unused1]"),
    ):
        markers[role] = text(record, key, path, usual)
        if not tokenizer.has(markers[role]):
            raise CheckpointError(
                f"{str(path)!r}: the tokenizer has no token {markers[role]!r}, its {key}"
            )
    rules = Rules(
        query_prefix=markers["query"],
        document_prefix=markers["document"],
        query_prompt="",
        document_prompt="",
        query_length=number(record, "query_maxlen", path, 32) or 32,
        document_length=number(record, "doc_maxlen", path, 220) or 220,
        query_expansion=True,
        attend_to_expansion=flag(record, "attend_to_mask_tokens", path, default=False),
        mask_token=tokenizer.mask,
        pad_token=tokenizer.pad_of(folder),
        projection_layers=[],
    )
    rules |= _skipped(flag(record, "mask_punctuation", path, default=True), tokenizer)
    return Found(
        name=name,
        what="a ColBERT of Stanford's library",
        kind="colbert",
        transformer=folder,
        tokenizer_json=tokenizer.json,
        rules=rules,
        projection=linear(weight),
        claimed=frozenset({LINEAR}),
    )


def _settings(path: Path) -> dict[str, Any]:
    """Return the settings, which some versions keep one level deeper."""
    record = read_if_there(path)
    refuse_unknown(record, KNOWN, path)
    deeper = record.pop("config", None)
    if isinstance(deeper, dict):
        refuse_unknown(deeper, KNOWN, path)
        record = {**deeper, **record}
    return record


def _linear(folder: Path) -> Tensor | None:
    """Return the weight of the projection, which is among the encoder's; the others unread."""
    if (folder / WEIGHTS).is_file():
        return read_some(folder / WEIGHTS, LINEAR).get(LINEAR)
    return read_pickle(folder / PICKLE).get(LINEAR) if (folder / PICKLE).is_file() else None


def _skipped(punctuation: bool, tokenizer: OwnTokenizer) -> Rules:
    """Return which tokens are left out: the first that each punctuation mark is made of."""
    if not punctuation:
        return Rules(skip_punctuation=False, skipped_tokens=[])
    words = tokenizer.tokenizer
    pieces = [words.encode(mark, add_special_tokens=False).tokens for mark in string.punctuation]
    found = list(dict.fromkeys(tokens[0] for tokens in pieces if tokens))
    if set(found) == set(tokenizer.skipped(list(string.punctuation), unknown_too=False)):
        return Rules(skip_punctuation=True, skipped_tokens=[])
    return Rules(skip_punctuation=False, skipped_tokens=found)
