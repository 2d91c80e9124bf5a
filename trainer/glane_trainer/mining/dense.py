"""A dense encoder of sentence-transformers or transformers: one vector a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from glane.errors import CheckpointError
from glane.hits import Hits
from glane.model.preparation import clean
from glane.types import Floats, Ids
from glane_trainer.bases.finding import fetched, find_base
from glane_trainer.bases.json_files import flag, read_if_there, require
from glane_trainer.bases.modules import (
    LIST,
    TOP,
    Module,
    own_length,
    read_dense,
    read_modules,
    transformer_settings,
)
from glane_trainer.bases.starting import encoder_of
from glane_trainer.bases.tokenizers import UNBOUNDED, read_tokenizer
from glane_trainer.mining.batching import digest_of, in_batches, placed
from glane_trainer.mining.ranking import Ranked
from glane_trainer.weights import position_limit

Role = Literal["query", "document"]

FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
"""Flags of a pooling that is understood; newer files have its name as `pooling_mode`."""

SIMILARITIES = ("cosine", "dot", "cos_sim", "dot_score")


class Road(NamedTuple):
    """What comes behind the encoder.

    Attributes:
        pooling: How the vectors of tokens become one.
        layers: What that goes through.
        normalized: Whether it is then of length 1.
    """

    pooling: str
    layers: nn.Sequential
    normalized: bool


class DenseEncoder:
    """Gives each text a vector; a score is their dot product, or cosine, as the model says."""

    def __init__(self, name: str, device: str) -> None:
        """Load one.

        Args:
            name: A folder of sentence-transformers, or of transformers alone, whose tokens' mean is
                then taken, or a name on the hub.
            device: To compute on.

        Raises:
            FileNotFoundError: If there is no such folder and the hub has no such model.
            CheckpointError: If a file is missing or damaged, or says what glane cannot do, named.
        """
        found, folder = find_base(name), fetched(name)
        if found.kind is not None:
            raise CheckpointError(
                f"{name!r} is {found.what}; expected a dense encoder or a cross-encoder, and those "
                "of glane go to --model or --reranker, exported"
            )
        modules = read_modules(folder) if (folder / LIST).is_file() else []
        self._device = device
        self._road = _road(folder, modules[1:])
        encoder = encoder_of(found)
        self._encoder = placed(encoder, device)
        placed(self._road.layers, device)
        settings = transformer_settings(modules[0]) if modules else {}
        lower = flag(settings, "do_lower_case", folder, default=False)
        own = read_tokenizer(found.transformer, lower=lower)
        length = own_length(settings, own, found.transformer)
        length = min(length, position_limit(encoder) or UNBOUNDED)
        self._tokenizer = own.tokenizer
        self._tokenizer.enable_truncation(length)
        pad = self._tokenizer.token_to_id(str(found.rules.get("pad_token") or ""))
        self._tokenizer.enable_padding(pad_id=pad or 0)
        self._length = length
        self._prompts: dict[Role, str] = {
            "query": found.rules.get("query_prompt", ""),
            "document": found.rules.get("document_prompt", ""),
        }

    def record(self) -> dict[str, object]:
        """Return what decides the scores."""
        return {
            "dense": digest_of(self._encoder, self._road.layers),
            "prompts": list(self._prompts.values()),
            "length": self._length,
            "pooling": [self._road.pooling, self._road.normalized],
            "device": self._device,
        }

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        """Return a vector for each text, float32, shape (n_texts, dim)."""
        prompt = self._prompts[role]
        return in_batches([prompt + clean(text) for text in texts], self._vectors)

    def score(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Floats]:
        """Return the score of each of a query's texts, for each query."""
        places = {text: place for place, text in enumerate({t: 0 for own in texts for t in own})}
        if not places:
            return [np.zeros(0, np.float32) for _ in queries]
        documents = self.encode(list(places), "document")
        asked = self.encode(queries, "query")
        return [
            documents[[places[text] for text in own]] @ vector if own else np.zeros(0, np.float32)
            for own, vector in zip(texts, asked, strict=True)
        ]

    def _vectors(self, texts: Sequence[str]) -> Tensor:
        found = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in found], device=self._device)
        mask = torch.tensor([each.attention_mask for each in found], device=self._device)
        tokens: Tensor = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        if self._road.pooling == "cls":
            first = mask.argmax(1)  # behind what is padded on the left
            pooled = tokens[torch.arange(len(tokens), device=tokens.device), first]
        else:
            shares = mask.to(tokens)[..., None]
            pooled = (tokens * shares).sum(1) / shares.sum(1).clamp(min=1e-9)
        vectors: Tensor = self._road.layers(pooled)
        return nn.functional.normalize(vectors, dim=-1) if self._road.normalized else vectors


class DenseRanker:
    """Finds documents by a dense encoder: every one is scored."""

    def __init__(self, encoder: DenseEncoder, texts: Sequence[str]) -> None:
        """Encode all documents, at least one."""
        self._encoder = encoder
        self._documents = encoder.encode(texts, "document")

    def record(self) -> dict[str, object]:
        """Return what decides the ranking, as JSON."""
        return {"retriever": self._encoder.record()}

    def rank(self, queries: Sequence[str], answers: Sequence[Ids], k: int) -> Ranked:
        """Return the k best documents of each query, and its answers; see `Ranker.rank`."""
        scores = self._encoder.encode(queries, "query") @ self._documents.T
        numbers = np.arange(len(self._documents))
        first = Hits.from_rows([(numbers, row) for row in scores], k)
        found = [first.row(query)[0] for query in range(len(queries))]
        both = [np.union1d(*each) for each in zip(found, answers, strict=True)]
        width = max([1, *map(len, both)])
        rows = [(ids, row[ids]) for ids, row in zip(both, scores, strict=True)]
        return Ranked(Hits.from_rows(rows, width), found)


def _road(folder: Path, behind: Sequence[Module]) -> Road:
    """Return what comes behind a model's encoder.

    Raises:
        CheckpointError: If a module, or how two vectors are compared, is not understood.
    """
    path = folder / TOP
    similarity = read_if_there(path).get("similarity_fn_name") or "cosine"
    require(similarity, SIMILARITIES, "similarity_fn_name", path)
    pooling, layers, normalized = "mean", nn.Sequential(), similarity.startswith("cos")
    for module in behind:
        if module.type == "Pooling":
            pooling = _pooling(module)
        elif module.type == "Dense":
            layers.append(read_dense(module))
        else:
            require(module.type, ("Normalize", "Dropout"), "a module behind the pooling", path)
            normalized |= module.type == "Normalize"
    return Road(pooling, layers, normalized)


def _pooling(module: Module) -> str:
    path = module.folder / "config.json"
    record = read_if_there(path)
    named = record.get("pooling_mode")
    flags = [name for name, on in record.items() if name.startswith("pooling_mode_") and on is True]
    asked = [FLAGS.get(name, name) for name in flags] or [named or "mean"]
    require(record.get("include_prompt", True), (True,), "include_prompt", path)
    if len(asked) != 1 or asked[0] not in ("mean", "cls"):
        raise CheckpointError(
            f"{str(path)!r}: expected a pooling by the mean of all tokens or by the first, got "
            f"{asked}"
        )
    return str(asked[0])
