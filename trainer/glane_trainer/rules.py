"""How texts become tokens and terms: what may be asked for when a model is made."""

from __future__ import annotations

from typing import TypedDict

from glane.model.checkpoint import Activation, Pooling


class Rules(TypedDict, total=False):
    """Fields of `glane.model.checkpoint.Checkpoint`, which says what each is."""

    query_terms: int
    document_terms: int
    inference_free: bool
    query_length: int
    document_length: int
    query_prefix: str
    document_prefix: str
    query_expansion: bool
    attend_to_expansion: bool
    skip_punctuation: bool
    query_prompt: str
    document_prompt: str
    suffix: str
    strip: bool
    lower: bool
    expansion_length: int
    skipped_tokens: list[str]
    skip_in_queries: bool
    mask_token: str
    pad_token: str
    projection_layers: list[str]
    pooling: Pooling
    activation: Activation
