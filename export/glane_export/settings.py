"""How to export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How to export.

    Attributes:
        quantize: Precision of the weights: "int8", or "none" for fp32.
        texts: Ordinary texts of the model's domain that parity is measured on; by default those of
            its training data, of the dataset, or the ones that come with glane. Odd texts are
            always added.
        dataset: A BEIR folder whose judgements measure what int8 costs.
        split: Which of its judgements.
        overwrite: Whether a folder that is there may be replaced.
        threads: Threads to compute with; by default what the process may use.
    """

    quantize: Literal["int8", "none"] = "int8"
    texts: Sequence[str] | None = None
    dataset: str | Path | None = None
    split: str = "dev"
    overwrite: bool = False
    threads: int | None = None
