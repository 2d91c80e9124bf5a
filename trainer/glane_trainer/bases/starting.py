"""Makes the parts of a model out of what a base was found to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.bases.finding import find_base
from glane_trainer.bases.found import Found
from glane_trainer.bases.pickles import with_safetensors
from glane_trainer.rules import Rules
from glane_trainer.telling import tell
from glane_trainer.weights import encoder_base, masked_base, position_limit

LENGTHS = ("query_length", "document_length", "expansion_length")


def found_of(base: str | Path | Found) -> Found:
    """Return what a base is, unless that is known already."""
    return base if isinstance(base, Found) else find_base(base)


def encoder_of(found: Found) -> PreTrainedModel:
    """Read the encoder of a base, in float32, on the CPU.

    Raises:
        CheckpointError: If its weights are damaged, do not fit, or are more than is understood.
    """
    with with_safetensors(found.transformer) as folder:
        return _plain(encoder_base(folder, found.claimed))


def masked_of(found: Found) -> PreTrainedModel:
    """Read the whole masked language model of a base, or its encoder where there is no head.

    Raises:
        CheckpointError: As `encoder_of`.
    """
    with with_safetensors(found.transformer) as folder:
        model = masked_base(folder, found.claimed) or encoder_base(folder, found.claimed)
        return _plain(model)


def _plain(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model that puts out its last vectors alone, whatever its owner asked for."""
    model.config.output_hidden_states = False
    model.config.output_attentions = False
    return model


def checkpoint_of(
    found: Found,
    kind: Kind,
    dim: int,
    encoder: PreTrainedModel,
    given: Rules,
    usual: Mapping[str, int] = {},
) -> Checkpoint:
    """Return the rules of a model that begins with a base.

    Args:
        found: The base; a length of its own is not longer than its encoder reads.
        kind: What is made.
        dim: Width of a vector, 0 for none.
        encoder: Of the base.
        given: Rules that were asked for; they win over the base's.
        usual: What holds where neither says something.

    Raises:
        CheckpointError: If rules do not fit the kind.
    """
    rules = found.rules_for(kind, given)
    limit = position_limit(encoder)
    for name in LENGTHS:
        length = rules.get(name)
        if limit is not None and name not in given and isinstance(length, int):
            rules[name] = min(length, limit)  # type: ignore[literal-required]
    return Checkpoint(kind=kind, dim=dim, base=found.name, **{**usual, **rules})  # type: ignore[arg-type]


def tell_of(found: Found, kind: Kind, given: Rules) -> None:
    """Tell in a line what a base was found to be, and in one more each what contradicts it."""
    tell(found.told(kind))
    for line in found.contradicted(kind, given):
        tell(line)
