"""Which of the documents that were found become negatives, and how scores are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from glane.errors import check_choice
from glane.model.scoring import NO_TOKENS_SCORE
from glane.types import Floats, Ids, Mask

Sampling = Literal["mixed", "first", "random"]
Scale = Literal["none", "min-max", "standard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How negatives are chosen, of each pair of query and answer.

    Attributes:
        n_negatives: At most, at least 1.
        ranks: First and last rank that they are taken from, from 1; the query's known answers do
            not count.
        margin: By how much the teacher's score of the answer must be above a negative's, in the
            teacher's own units; None for no such bound. What is nearer may be an answer.
        relative_margin: The same as a share of the answer's score, of its size where it is below 0.
        sampling: "first" takes the best ranked, "random" draws, "mixed" takes half of them first
            and draws the others from behind.
        scale: What the teacher's scores become over a query's answers and all that was in those
            ranks: "min-max" from 0 to 1, "standard" of mean 0 and deviation 1.
        seed: Decides what is drawn, at least 0.
    """

    n_negatives: int = 16
    ranks: tuple[int, int] = (1, 100)
    margin: float | None = None
    relative_margin: float | None = None
    sampling: Sampling = "mixed"
    scale: Scale = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range.

        Raises:
            ValueError: The message names the setting first.
        """
        if self.n_negatives < 1:
            raise ValueError(f"n_negatives must be at least 1, got {self.n_negatives}")
        low, high = self.ranks
        if not 1 <= low <= high:
            raise ValueError(f"ranks must be a first and a last from 1 on, got {low}-{high}")
        for name in ("margin", "relative_margin"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < np.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {value}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        for name, known in (("sampling", get_args(Sampling)), ("scale", get_args(Scale))):
            check_choice(name, getattr(self, name), known)


def too_close(scores: Floats, answer: float, choice: Choice) -> Mask:
    """Return which candidates score so near an answer that they may be one, shape (n,).

    >>> too_close(np.array([0.8, 0.7, 0.2]), 0.9, Choice(margin=0.2)).tolist()
    [True, False, False]
    """
    close = np.zeros(len(scores), np.bool_)
    if choice.margin is not None:
        close |= scores > answer - choice.margin
    if choice.relative_margin is not None:
        close |= scores > answer - choice.relative_margin * abs(answer)
    return close


def chosen(n: int, choice: Choice, random: np.random.Generator) -> Ids:
    """Return which of n candidates, best first, become negatives: their places, rising.

    >>> chosen(3, Choice(n_negatives=2, sampling="first"), np.random.default_rng(0)).tolist()
    [0, 1]
    """
    wanted = min(n, choice.n_negatives)
    n_first = {"first": wanted, "random": 0, "mixed": wanted // 2}[choice.sampling]
    drawn = n_first + random.choice(n - n_first, wanted - n_first, replace=False)
    return np.concatenate([np.arange(n_first), np.sort(drawn)])


def says_something(scores: Floats) -> Mask:
    """Return which scores are none that stand for a text without tokens, shape (n,)."""
    return scores > NO_TOKENS_SCORE


def scaled(scores: Floats, scale: Scale) -> Floats:
    """Return a query's scores as they are written; of equal ones each is 0, but for "none".

    >>> scaled(np.array([1.0, 2.0, 5.0]), "min-max").tolist()
    [0.0, 0.25, 1.0]
    """
    if scale == "none" or not len(scores):
        return scores
    low, width = scores.min(), np.ptp(scores)
    if scale == "standard":
        low, width = scores.mean(), scores.std()
    made: Floats = (scores - low) / (width or 1.0)
    return made
