"""Which tensors a file may have beside an encoder's: those of heads that transformers knows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.models.auto import modeling_auto

from glane.errors import CheckpointError
from glane_trainer.quiet import Quiet

HEADS = (
    "MODEL_FOR_PRETRAINING_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING",
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
)
OLD = {"gamma": "weight", "beta": "bias"}
"""Names that parts of a layer norm once had."""

BUFFERS = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq|rotary_emb\..*)$")
"""Numbers that are computed and not learned, which older files have."""

POOLERS = re.compile(r"(^|\.)pooler\.")


def refuse_unexpected(folder: Path, config: PretrainedConfig, names: Collection[str]) -> None:
    """Refuse tensors that no head of the model's kind has.

    Args:
        folder: For the message.
        config: Of the model.
        names: Tensors of the file that the model has no place for.

    Raises:
        CheckpointError: The message names them.
    """
    left = {name for name in names if not BUFFERS.search(name) and not POOLERS.search(name)}
    for known in _heads(config) if left else ():
        left = {name for name in left if _today(name) not in known}
    if left:
        raise CheckpointError(
            f"{str(folder)!r} holds tensors that are not understood, and not passed over: "
            f"{sorted(left)[:3]}; is it a model of another library?"
        )


def _heads(config: PretrainedConfig) -> Iterator[set[str]]:
    """Yield the names of the tensors of each model with a head, with and without its prefix."""
    for name in HEADS:
        mapping: Any = getattr(modeling_auto, name)
        if type(config) not in mapping:
            continue
        known: Any = mapping[type(config)]
        for kind in known if isinstance(known, tuple) else (known,):
            with torch.device("meta"), Quiet():
                model = kind(config)
            names = set(model.state_dict())
            yield names | {key.removeprefix(f"{model.base_model_prefix}.") for key in names}


def _today(name: str) -> str:
    head, _, last = name.rpartition(".")
    return f"{head}.{OLD.get(last, last)}" if head else name
