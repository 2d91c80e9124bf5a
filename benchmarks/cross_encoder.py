"""A cross-encoder of MiniLM's size with random weights: its time alone counts."""

from __future__ import annotations

from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification

BATCH = 16


def cross_encoder() -> Any:  # noqa: ANN401 (of transformers)
    """Return one of 6 layers, 384 wide, as the usual rerankers are."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        num_labels=1,
    )
    return BertForSequenceClassification(config).eval()


def cross_encoded(cross: Any, rows: list[Any]) -> list[float]:  # noqa: ANN401 (of transformers)
    """Score rows of token numbers in batches, longest first, as sentence-transformers does."""
    order = sorted(range(len(rows)), key=lambda number: -len(rows[number]))
    scores = [0.0] * len(rows)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            ids = torch.zeros(len(numbers), len(rows[numbers[0]]), dtype=torch.long)
            mask = torch.zeros_like(ids)
            for place, number in enumerate(numbers):
                row = rows[number]
                ids[place, : len(row)] = torch.from_numpy(row) % cross.config.vocab_size
                mask[place, : len(row)] = 1
            logits = cross(input_ids=ids, attention_mask=mask).logits[:, 0].tolist()
            for number, score in zip(numbers, logits, strict=True):
                scores[number] = score
    return scores
