"""How a new model begins: what each kind makes of a base, and of the texts it is to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glane.model.checkpoint import Kind
from glane.model.preparation import TextPreparer
from glane_trainer.bases.finding import find_base
from glane_trainer.bases.found import Found
from glane_trainer.colbert import ColBERT
from glane_trainer.lengths import read_whole
from glane_trainer.model import Model
from glane_trainer.projection import linear, principal_directions, sample
from glane_trainer.rules import Rules
from glane_trainer.settings import DIMS
from glane_trainer.sparse_embed import SparseEmbed
from glane_trainer.splade import Splade, idf_weights
from glane_trainer.terms import TermModel, level
from glane_trainer.weights import position_limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What decides the parts of a model that its base does not have.

    Attributes:
        dim: Width of a vector, by default as `DIMS` says.
        principal: Whether ColBERT projects onto the principal directions of the documents.
        seed: Decides a random projection, and which documents are looked at.
        documents: To learn from, or None.
        queries: Some of those to learn from: their lengths decide how much a new model reads of
            one, where neither its base nor the rules say so.
        trained: Whether a training follows; without, ColBERT keeps the base's width by default.
    """

    dim: int | None = None
    principal: bool = True
    seed: int = 0
    documents: Sequence[str] | None = None
    queries: Sequence[str] = ()
    trained: bool = True


def new_model(kind: Kind, base: str | Path, start: Start, rules: Rules) -> Model[Any]:
    """Make the model that a training begins with: the base's own where it is of the kind.

    Args:
        kind: Which kind.
        base: Folder or name on the Hugging Face hub, see `find_base`.
        start: What the base does not decide.
        rules: How texts become tokens and terms.

    Raises:
        ValueError: If something does not fit the kind, or needs documents.
        FileNotFoundError: If there is no such folder and the hub has no such model.
        CheckpointError: If a file of the base is missing or damaged.
    """
    found = find_base(base)
    model = _new(kind, found, start, rules)
    if start.queries and "query_length" not in found.rules_for(kind, rules):
        model.preparer = read_whole(model.preparer, start.queries, position_limit(model.encoder))
    return model


def _new(kind: Kind, found: Found, start: Start, rules: Rules) -> Model[Any]:
    if kind == "colbert":
        return _new_colbert(found, start, rules)
    if kind == "sparse-embed":
        embed = SparseEmbed.from_base(found, dim=start.dim, seed=start.seed, **rules)
        _lower_new_decoder(embed, found, start)
        return embed
    return _new_splade(found, start, rules)


def principal_projection(model: ColBERT, texts: Sequence[str]) -> nn.Linear:
    """Return the projection onto the principal directions of the base's token vectors.

    Args:
        model: Its encoder is used, and the width of its vectors; its own projection is not.
        texts: Documents; about `SAMPLE` of them suffice.

    Raises:
        ValueError: If the vectors are to be wider than the encoder's, or there are no texts.
    """
    plain = type(model)(model.encoder, None, model.preparer)
    return linear(_directions(plain, model.checkpoint.dim, texts))


def narrowed(model: ColBERT, dim: int, texts: Sequence[str]) -> ColBERT:
    """Return a finished model with vectors along the `dim` principal directions of its own.

    Args:
        model: Its projection is one layer without bias, or none; it is not changed, but shares its
            encoder.
        dim: From 1 to the model's width.
        texts: Documents, whose token vectors decide the directions.

    Raises:
        ValueError: If the projection has layers, the width is no less, or there are no texts.
    """
    if not 1 <= dim <= model.dim:
        raise ValueError(f"a model of {model.dim} dimensions cannot be made {dim} wide")
    layer = model.projection
    if layer is not None and not isinstance(layer, nn.Linear):
        raise ValueError("a model whose projection has layers cannot be made narrower")
    weight = _directions(model, dim, texts)
    if layer is not None:
        weight = weight @ layer.weight.detach().cpu()
    preparer = TextPreparer(replace(model.checkpoint, dim=dim), model.preparer.tokenizer_json)
    return ColBERT(model.encoder, linear(weight), preparer)


def _lower_new_decoder(model: TermModel[Any], found: Found, start: Start) -> None:
    """Give a decoder that no masked model had a bias that leaves as many terms as are kept.

    Its logits are products of vectors that all point about one way: nearly every term of the
    vocabulary would have a weight in every text, which is slow to train, and first to be unlearned.
    """
    if model.head is None and found.kind != model.kind and start.documents is not None:
        texts = sample(start.documents, start.seed)
        with torch.no_grad():
            model.decoder.bias.sub_(level(model, texts))


def _directions(model: ColBERT, dim: int, texts: Sequence[str]) -> Tensor:
    """Return the principal directions of a model's vectors of texts, (dim, the model's width)."""
    return torch.from_numpy(principal_directions(model.encode_documents(texts).values, dim))


def _new_colbert(found: Found, start: Start, rules: Rules) -> ColBERT:
    if found.kind == "colbert":
        wanted = start.dim if start.documents is None else None  # without any it is as it is
        model = ColBERT.from_base(found, dim=wanted, **rules)
        if start.documents is None or start.dim in (None, model.dim):
            return model
        if not start.principal:
            raise ValueError("--projection random is for a new model, and this one is finished")
        return narrowed(model, start.dim, sample(start.documents, start.seed))
    dim = DIMS["colbert"] if start.dim is None and start.trained else start.dim
    model = ColBERT.from_base(found, dim=dim, seed=start.seed, **rules)
    if start.principal and model.dim < int(model.encoder.config.hidden_size):
        if start.documents is None:
            raise ValueError("a projection from the data needs --data, or --projection random")
        model.projection = principal_projection(model, sample(start.documents, start.seed))
    return model


def _new_splade(found: Found, start: Start, rules: Rules) -> Splade:
    if start.dim is not None:
        raise ValueError(
            f"a term of splade has a weight and no vector, but --dim {start.dim} was given"
        )
    model = Splade.from_base(found, **rules)
    _lower_new_decoder(model, found, start)
    new = found.kind != "splade" or found.table is None
    if new and model.query_weights is not None and start.documents is not None:
        model.query_weights = nn.Parameter(idf_weights(model, list(dict.fromkeys(start.documents))))
    return model
