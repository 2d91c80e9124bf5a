"""What a base turned out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from glane.model.checkpoint import Checkpoint, Kind
from glane_trainer.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A base: a finished model of a kind, whoever trained it, or an encoder to make one of.

    Attributes:
        name: The folder, or the name on the hub, as it was given.
        what: What it is, as in "a ColBERT of PyLate".
        kind: Which kind of model it is; None where it is an encoder.
        transformer: Folder of the encoder's `config.json` and weights.
        tokenizer_json: The content of `tokenizer.json`, as the owner's tokenizer is.
        rules: How its owner turns texts into tokens and terms; of a finished model all of them.
        projection: From the encoder's vectors to those of a colbert or sparse-embed; None without.
        table: Weight of each token in a query of an inference-free model, shape (n_vocabulary,).
        claimed: Names of tensors beside the encoder's own that were read.
        remarks: What its owner does and glane does not, a sentence each.
        own: Whether it is a checkpoint of glane.
    """

    name: str
    what: str
    kind: Kind | None
    transformer: Path
    tokenizer_json: str
    rules: Rules = field(default_factory=Rules)
    projection: nn.Module | None = None
    table: Tensor | None = None
    claimed: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()
    own: bool = False

    def told(self, kind: Kind) -> str:
        """Return in one line what was recognised, and what of it becomes a model of a kind."""
        taken = [self.what]
        if self.kind is not None and self.kind != kind:
            taken.append(f"of it a {kind} takes the encoder alone, and nothing else")
        elif self.kind is not None or _has_prompts(self.rules):
            taken.append(_rules_in_words(self.rules))
        return f"{self.name}: " + "; ".join([*(part for part in taken if part), *self.remarks])

    def rules_for(self, kind: Kind, given: Rules) -> Rules:
        """Return the rules of a model of a kind that begins here; those asked for win."""
        own = self.rules if self.kind in (None, kind) else Rules()
        return {**own, **given}

    def contradicted(self, kind: Kind, given: Mapping[str, object]) -> list[str]:
        """Return a line for each rule that was asked for and that the base has otherwise."""
        own: Mapping[str, object] = self.rules_for(kind, Rules())
        return [
            f"--{name.replace('_', '-')} {value!r} was asked for, and {self.name} has {own[name]!r}"
            for name, value in given.items()
            if name in own and own[name] != value
        ]


def _has_prompts(rules: Rules) -> bool:
    return bool(rules.get("query_prompt") or rules.get("document_prompt"))


def _rules_in_words(rules: Rules) -> str:
    """Return the rules that are not the schema's own."""
    plain = Checkpoint(dim=1)
    lengths = ("query_length", "document_length")
    shown = [f"{name} {rules[name]}" for name in lengths if name in rules]  # type: ignore[literal-required]
    for name, value in rules.items():
        if name not in lengths and value != getattr(plain, name):
            shown.append(name if value is True else f"{name} {_short(value)}")
    return ", ".join(shown)


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"of {len(value)}"
    return repr(value)
