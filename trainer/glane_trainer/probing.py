"""Whether an encoder's vectors can be relied upon, found out with a few tokens.

No list of architectures: a model that needs more than ids and a mask, has no vector a token, or
looks at padding is refused whatever it is called, before anything is trained.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

from glane.errors import CheckpointError

SHORT, LONG = 5, 131
"""Tokens of the two texts that are tried, the long one cut to what the encoder reads. The length
is prime, since some encoders fail at lengths that their blocks do not divide."""

ROOM = 1e-4
"""Largest difference of a component of a vector of length 1 between alone and in a batch: what an
export allows between torch and its graph."""

FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)
"""What transformers raises where a model is given what it cannot use."""


class Table(NamedTuple):
    """A look-up of positions: rows of the table, the first token's row, and rows looked up."""

    n_rows: int
    first: int
    n_positions: int


def check_encoder(encoder: PreTrainedModel) -> None:
    """Refuse an encoder that gives no reliable vector for each token of a text.

    Args:
        encoder: With its weights, on any device.

    Raises:
        CheckpointError: If it fails when given token ids and a mask alone; if it does not give one
            finite vector, `hidden_size` wide, for each token; if the vectors of a text change when
            it is padded; or if it pads texts itself.
    """
    name = type(encoder).__name__
    try:
        tables = _tables(encoder)
        limit = _limit(tables)
        ids = _ids(encoder, LONG if limit is None else min(LONG, limit))
        alone = _vectors(encoder, ids[:, :SHORT])
        padded, longer = _vectors(encoder, *_padded(encoder, ids))
        width = int(encoder.config.hidden_size)
    except FAILURES as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"a {name} cannot be used: given token ids and a mask alone, it fails ({reason}); "
            "pass an encoder of texts"
        ) from None
    n_positions = max((table.n_positions for table in tables), default=SHORT)
    if n_positions > SHORT:
        raise CheckpointError(
            f"a {name} cannot be used: it fills {SHORT} tokens up to {n_positions}, which no graph "
            "for texts of any length can do; pass an encoder of another kind"
        )
    if alone.shape != (1, SHORT, width) or longer.shape != (ids.shape[1], width):
        raise CheckpointError(
            f"a {name} cannot be used: it gives {tuple(alone.shape)} numbers for {SHORT} tokens, "
            f"expected (1, {SHORT}, {width}); pass an encoder with a vector for each token"
        )
    if not (alone.isfinite().all() and longer.isfinite().all()):
        raise CheckpointError(
            f"the vectors of this {name} are not finite; are its weights damaged?"
        )
    change = float((_directions(alone[0]) - _directions(padded[:SHORT])).abs().max())
    if change > ROOM:
        raise CheckpointError(
            f"a {name} cannot be used: the vectors of a text change by {change:.2g} when it is "
            "padded, so that they would depend on the batch; pass an encoder of another kind"
        )


def table_limit(encoder: PreTrainedModel) -> int | None:
    """Return how many tokens a table of positions has room for, or None where there is none.

    The table is the one whose rows are looked up in order, whatever token stands there; it may
    lose its first rows to padding, as RoBERTa's does.

    Args:
        encoder: On any device.
    """
    return _limit(_tables(encoder))


def _limit(tables: list[Table]) -> int | None:
    return min((table.n_rows - table.first for table in tables), default=None)


def _tables(encoder: PreTrainedModel) -> list[Table]:
    """Return the look-ups of positions of a short text."""
    watch = _Lookups()
    with watch:
        _vectors(encoder, _ids(encoder, SHORT))
    return watch.tables


class _Lookups(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's
    """Notes the tables in which rows are looked up in order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.tables: list[Table] = []

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        if func is torch.ops.aten.embedding.default:
            weight, rows = args[:2]
            first = _first_in_order(rows)
            if first is not None:
                self.tables.append(Table(len(weight), first, rows.numel()))
        return func(*args, **(kwargs or {}))


def _first_in_order(rows: Tensor) -> int | None:
    """Return the first of rows that are in order, or None; padding may follow `SHORT` of them."""
    found = rows.flatten().tolist()
    if rows.numel() != rows.shape[-1] or len(found) < SHORT or len(set(found[SHORT:])) > 1:
        return None
    first = int(found[0])
    return first if found[:SHORT] == list(range(first, first + SHORT)) else None


def _vectors(encoder: PreTrainedModel, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the encoder's output, shape (n, length, hidden_size), without dropout."""
    was_training = encoder.training
    mask = torch.ones_like(ids) if mask is None else mask
    try:
        with torch.no_grad():
            output = encoder.train(False)(input_ids=ids, attention_mask=mask)
    finally:
        encoder.train(was_training)
    hidden: Tensor = output.last_hidden_state
    return hidden.float()


def _ids(encoder: PreTrainedModel, n: int) -> Tensor:
    """Return tokens of one text, shape (1, n), descending, none of them a special one."""
    config = encoder.config
    special = {value for key, value in config.to_dict().items() if key.endswith("_token_id")}
    half = range(int(config.vocab_size) // 2, int(config.vocab_size))
    usable = [id for id in reversed(half) if id not in special] or [0]
    chosen = [usable[(len(usable) // 2 + i) % len(usable)] for i in range(n)]
    return torch.tensor([chosen], device=encoder.device)


def _padded(encoder: PreTrainedModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first tokens of a text, padded to its length, above the text; and the mask."""
    mask = torch.ones(2, ids.shape[1], dtype=torch.int64, device=ids.device)
    mask[0, SHORT:] = 0
    pad = getattr(encoder.config, "pad_token_id", None)
    return torch.where(mask == 1, ids, 0 if pad is None else int(pad)), mask


def _directions(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
