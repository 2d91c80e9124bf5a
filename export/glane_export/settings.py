"""How to export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from glane.errors import check_choice
from glane.retrievers.fusion import UNSAID, FusionSettings

Quantize = Literal["int8", "fp16", "none"]
Range = Literal["8bit", "7bit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How to export.

    Attributes:
        quantize: Precision: "int8"; "fp16", which is for GPUs; or "none" for fp32.
        range: Of int8's activations: "8bit", or "7bit", which is coarser, and gives the same on
            CPUs whose products of uint8 and int8 saturate.
        texts: Ordinary texts of the model's domain that parity is measured on; by default those of
            its training data, of the dataset, or the ones that come with glane. Odd texts are
            always added.
        dataset: A BEIR folder whose judgements measure what fewer bits cost.
        split: Which of its judgements.
        overwrite: Whether a folder that is there may be replaced.
        threads: Threads to compute with; by default what the process may use.
        graph: An ONNX file that takes the place of the encoder as it would be traced.
        fusion: How a ranking of the model is fused with a retriever's, where neither a search nor
            its index says; what is None in it is left to the default.
    """

    quantize: Quantize = "int8"
    range: Range = "8bit"
    texts: Sequence[str] | None = None
    dataset: str | Path | None = None
    split: str = "dev"
    overwrite: bool = False
    threads: int | None = None
    graph: str | Path | None = None
    fusion: FusionSettings = UNSAID

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            ValueError: The message names them.
        """
        check_choice("quantize", self.quantize, get_args(Quantize))
        check_choice("range", self.range, get_args(Range))
        if self.dataset is not None and self.quantize == "none":
            raise ValueError("a dataset measures what int8 costs; an fp32 export has no use for it")
        if self.range == "7bit" and self.quantize != "int8":
            raise ValueError(f"a range of 7bit is of int8, and has no use for {self.quantize}")

    @property
    def bits(self) -> Literal[7, 8]:
        """Bits of an activation in int8."""
        return 7 if self.range == "7bit" else 8
