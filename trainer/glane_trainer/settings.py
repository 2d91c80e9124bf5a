"""The settings of a training run; without torch, so that a command can be checked before it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from glane.errors import check_choice
from glane.model.checkpoint import Kind

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Loss = Literal["contrastive", "margin-mse", "kl"]
Regulariser = Literal["flops", "l1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the scores are to become.

    Attributes:
        loss: Against the other documents of the batch, or towards a teacher's scores.
        temperature: What the model's scores are divided by.
        teacher_temperature: What a teacher's scores are divided by.
        contrastive_weight: Of the contrastive loss, added to one with a teacher.
    """

    loss: Loss = "contrastive"
    temperature: float = 0.02
    teacher_temperature: float = 1.0
    contrastive_weight: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: The message names the setting.
        """
        check_choice("loss", self.loss, get_args(Loss))
        for name in ("temperature", "teacher_temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.contrastive_weight >= 0:
            weight = self.contrastive_weight
            raise ValueError(f"contrastive_weight must be at least 0, got {weight}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsity:
    """How hard term weights are pushed to 0.

    Attributes:
        query_weight: Of the queries' regulariser in the loss.
        document_weight: Of the documents' FLOPS in the loss.
        query_regulariser: For queries, see `flops` and `l1`; documents have FLOPS.
        rise: Share of the steps over which both weights rise from 0, as a square (Formal et al.,
            SPLADE, SIGIR 2021, section 4); 0 for none.
    """

    query_weight: float = 0.0
    document_weight: float = 0.0
    query_regulariser: Regulariser = "flops"
    rise: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: The message names the setting.
        """
        check_choice("query_regulariser", self.query_regulariser, get_args(Regulariser))
        for name in ("query_weight", "document_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.rise <= 1:
            raise ValueError(f"rise must be from 0 to 1, got {self.rise}")

    def risen(self, step: int, n_steps: int) -> Sparsity:
        """Return the weights that hold at a step, min(1, (step + 1) / (rise · n_steps))² of them.

        >>> full = Sparsity(document_weight=1.0, rise=0.5)
        >>> [full.risen(step, 8).document_weight for step in (0, 1, 3, 7)]
        [0.0625, 0.25, 1.0, 1.0]
        """
        share = min(1.0, (step + 1) / max(self.rise * n_steps, 1)) ** 2
        return replace(
            self,
            query_weight=share * self.query_weight,
            document_weight=share * self.document_weight,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train; these defaults are ColBERT's, see `DEFAULTS` for the other kinds.

    They were chosen on a part of scifact's train queries.

    Attributes:
        epochs: Times through the examples, at least 1.
        max_steps: Optimizer steps at most, at least 0; None for all of the epochs.
        batch_size: Examples that are encoded at once, at least 1; each brings its negatives.
        accumulation: Batches of that size behind one optimizer step, at least 1: they are one
            batch for the loss, in which every document is a negative of every other query.
        learning_rate: Of the encoder, at its highest.
        projection_learning_rate: Of what is new, which begins less well: projection or table.
        weight_decay: Decoupled, as in AdamW.
        warm_up: Share of the steps in which the rates rise; then they fall to 0 in a line.
        clip: Largest norm of a gradient.
        objective: The loss; its temperature is for scores of -1 to 1.
        sparsity: How hard terms are pushed to 0, for models that have them.
        n_negatives: Negatives of an example in a batch, others every epoch.
        document_length: Tokens a document is cut at in training, if the model reads more.
        freeze_layers: First layers of the encoder that stay as they are, and with them the
            embeddings; 0 freezes nothing, None the lower half.
        lora: Rank of the two factors that are trained in the place of each matrix of the encoder,
            see `adapters`; None trains the matrices.
        start_share: Share in [0, 1) of the start's weights in the model that is kept, the trained
            ones having the rest (Wortsman et al., CVPR 2022, "WiSE-FT"); None for a quarter or
            more, or 0 where held-out queries show that to be better, see `keep.choose`, or where
            there are none.
        eval_steps: Optimizer steps between evaluations; None for one at each epoch's end.
        eval_queries: Held-out queries that are measured, at most; None for all that can be
            measured in about the time of the training, see `measuring.n_measured`.
        patience: Evaluations without a higher mean after which the training ends; None for no
            such end.
        max_terms: Terms that a document of a kept model may have on average, for models that have
            them; None for no limit.
        save_steps: Optimizer steps between checkpoints that can be resumed; 0 for none.
        compile: Whether the encoder is compiled by torch (`torch.compile`); the first steps then
            take minutes.
        recompute: Whether the encoder's inner values are computed again for the gradient instead
            of kept (gradient checkpointing): less memory, about a third more time.
        device: Where to compute; auto is CUDA, then MPS, then the CPU.
        precision: Of the encoder's arithmetic; auto is bf16 or fp16 on CUDA, else fp32.
        report_to: Trackers of accelerate that are told of each step, see `Trackers`.
        seed: Decides batches, dropout and the choice of measured queries.
    """

    epochs: int = 3
    max_steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    learning_rate: float = 6e-5
    projection_learning_rate: float = 3e-4
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    objective: Objective = field(default_factory=Objective)
    sparsity: Sparsity = field(default_factory=Sparsity)
    n_negatives: int = 1
    document_length: int = 128
    freeze_layers: int | None = None
    lora: int | None = None
    start_share: float | None = None
    eval_steps: int | None = None
    eval_queries: int | None = None
    patience: int | None = None
    max_terms: int | None = None
    save_steps: int = 100
    compile: bool = False
    recompute: bool = False
    device: Device = "auto"
    precision: Precision = "auto"
    report_to: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: The message names the setting.
        """
        check_choice("device", self.device, get_args(Device))
        check_choice("precision", self.precision, get_args(Precision))
        least = {"epochs": 1, "batch_size": 1, "accumulation": 1, "document_length": 4}
        for name in ("max_steps", "n_negatives", "freeze_layers", "save_steps", "seed"):
            least[name] = 0
        least |= dict.fromkeys(("lora", "eval_steps", "eval_queries", "patience", "max_terms"), 1)
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}")
        for name in ("learning_rate", "projection_learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("warm_up", "start_share", "weight_decay"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")


QUERY_TERMS, DOCUMENT_TERMS = 64, 256
"""Terms that a query and a document of SPLADE and SparseEmbed keep at most."""

DIMS: dict[Kind, int] = {"colbert": 128, "splade": 0, "sparse-embed": 64}
"""Width of a vector, once trained."""

_SPARSE = Settings(
    epochs=5,
    learning_rate=1e-4,
    n_negatives=3,
    objective=Objective(temperature=1.0),
    sparsity=Sparsity(query_weight=2e-3, document_weight=5e-4),
    freeze_layers=0,
)

DEFAULTS: dict[Kind, Settings] = {
    "colbert": Settings(),
    "splade": _SPARSE,
    "sparse-embed": _SPARSE,
}
"""How each kind is trained where nothing else is said."""
