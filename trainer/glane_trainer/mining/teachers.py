"""Teachers of other libraries, by transformers alone: dense encoders and cross-encoders."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from tokenizers import Encoding
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from glane.errors import CheckpointError
from glane.model.preparation import clean
from glane.types import Floats
from glane_trainer.bases.finding import fetched
from glane_trainer.bases.json_files import read_record
from glane_trainer.bases.pickles import with_safetensors
from glane_trainer.bases.tokenizers import UNBOUNDED, OwnTokenizer, read_tokenizer
from glane_trainer.mining.batching import digest_of, in_batches, placed
from glane_trainer.mining.dense import DenseEncoder
from glane_trainer.mining.mining import Teacher
from glane_trainer.quiet import Quiet
from glane_trainer.weights import position_limit

HEAD = "ForSequenceClassification"
"""What the class of a cross-encoder ends in."""


def load_teacher(name: str, device: str) -> Teacher:
    """Load a teacher: a cross-encoder where its `config.json` names one, else a dense encoder.

    Args:
        name: A folder (of sentence-transformers or transformers), or a name on the hub.
        device: To compute on.

    Raises:
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If a file is missing or damaged, or says what glane cannot do, named.
    """
    folder = fetched(name)
    path = folder / "config.json"
    classes = read_record(path).get("architectures") or [] if path.is_file() else []
    if any(str(each).endswith(HEAD) for each in classes):
        return CrossEncoder(folder, device)
    return DenseEncoder(name, device)


class CrossEncoder:
    """A model that reads query and document together, and gives one score: its logit."""

    def __init__(self, folder: Path, device: str) -> None:
        """Load one.

        Raises:
            CheckpointError: If a file is missing or damaged, weights are missing or unknown, or it
                gives more than one score.
        """
        self._folder, self._device = folder, device
        labels = read_record(folder / "config.json").get("id2label")
        model = _classifier(folder)
        if model.config.num_labels != 1:
            raise CheckpointError(
                f"{str(folder)!r} gives {model.config.num_labels} scores, "
                f"{labels or 'without names'}; expected a cross-encoder with one"
            )
        own = read_tokenizer(folder)
        self._tokenizer = own.tokenizer
        self._tokenizer.enable_truncation(_length(own, model))
        self._tokenizer.enable_padding(
            pad_id=int(model.config.pad_token_id or 0),
            pad_token=own.pad_of(folder) or "[PAD]",
        )
        takes = inspect.signature(model.forward).parameters
        n_types = getattr(model.config, "type_vocab_size", 0)
        self._has_types = "token_type_ids" in takes and n_types > 1
        self._model = placed(model, device)

    def record(self) -> dict[str, object]:
        """Return what decides the scores."""
        return {"cross-encoder": digest_of(self._model), "device": self._device}

    def score(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Floats]:
        """Return the score of each of a query's texts, for each query."""
        pairs = [
            (clean(query), clean(text))
            for query, own in zip(queries, texts, strict=True)
            for text in own
        ]
        scores = in_batches(pairs, self._scores)[:, 0] if pairs else np.zeros(0, np.float32)
        return np.split(scores, np.cumsum([len(own) for own in texts])[:-1])

    def _scores(self, pairs: list[tuple[str, str]]) -> Tensor:
        found: list[Encoding] = self._tokenizer.encode_batch(pairs)
        inputs = {
            "input_ids": torch.tensor([each.ids for each in found]),
            "attention_mask": torch.tensor([each.attention_mask for each in found]),
        }
        if self._has_types:
            inputs["token_type_ids"] = torch.tensor([each.type_ids for each in found])
        logits: Tensor = self._model(**{k: v.to(self._device) for k, v in inputs.items()}).logits
        return logits


def _classifier(folder: Path) -> PreTrainedModel:
    """Read a model with its head, in float32, on the CPU."""
    with with_safetensors(folder) as own:
        try:
            with Quiet():
                model, info = AutoModelForSequenceClassification.from_pretrained(
                    own,
                    dtype=torch.float32,
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"{str(folder)!r} cannot be loaded: {reason}") from None
    for what, names in (("lacks", info["missing_keys"]), ("has unknown", info["unexpected_keys"])):
        if names:
            raise CheckpointError(f"{str(folder)!r} {what} weights: {sorted(names)[:3]}")
    classifier: PreTrainedModel = model
    return classifier


def _length(own: OwnTokenizer, model: PreTrainedModel) -> int:
    """Return how many tokens of a pair are read."""
    encoder: Any = model.base_model
    return min(own.length or UNBOUNDED, position_limit(encoder) or UNBOUNDED)
