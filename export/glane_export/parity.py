"""The bounds that an export must keep, and what was measured against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from glane.hits import best
from glane.maxsim import maxsim_scores
from glane.types import Floats, Scores
from glane.vectors import TokenVectors, join_lengths
from glane_export.vectors import Probe

DIFFERENCE = 1e-4
"""fp32 against torch: largest difference of a component."""

BATCH_DIFFERENCE = 1e-5
"""fp32 alone against in a batch; an int8 model beyond it depends on its batch."""

MEAN_COSINE = 0.985
LOWEST_COSINE = 0.90
OVERLAP = 0.9
NDCG_LOSS = 0.004
"""int8 against fp32."""

TOP = 10


class ParityError(ValueError):
    """An export whose vectors or ranks are not those of the model it came from."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound and the figure measured against it.

    Attributes:
        compared: What with what.
        measure: What was measured.
        figure: The worst value, or the mean where the measure says so.
        sense: On which side of the limit the figure must lie.
        limit: The bound.
        text: The text that was worst, cut, with its role.
        n: Over how many texts, or queries.
    """

    compared: str
    measure: str
    figure: float
    sense: Literal["at most", "at least"]
    limit: float
    text: str
    n: int

    @property
    def kept(self) -> bool:
        """Whether the figure keeps the bound; one that is not a number does not."""
        if self.sense == "at most":
            return self.figure <= self.limit
        return self.figure >= self.limit

    def record(self) -> dict[str, Any]:
        """Return the bound for `parity.json`."""
        return {**asdict(self), "kept": self.kept}


def check(bounds: Sequence[Bound]) -> None:
    """Refuse an export that misses a bound.

    Raises:
        ParityError: Naming each bound that is missed, the figure and the text.
    """
    missed = [
        f"{bound.compared}: {bound.measure} is {bound.figure:.3g}, must be {bound.sense} "
        f"{bound.limit:g}, worst for {bound.text}"
        for bound in bounds
        if not bound.kept
    ]
    if missed:
        raise ParityError("parity is lost, nothing was written; " + "; ".join(missed))


def differences(
    compared: str, limit: float, probes: Sequence[Probe], pair: tuple[list[Floats], list[Floats]]
) -> Bound:
    """Measure the largest difference of any component of any vector that counts."""
    figures = _per_text(pair, lambda left, right: float(np.abs(left - right).max()), nothing=0.0)
    worst = _worst(figures, highest=True)
    name = "largest difference"
    return Bound(compared, name, figures[worst], "at most", limit, str(probes[worst]), len(probes))


def cosines(
    compared: str, probes: Sequence[Probe], pair: tuple[list[Floats], list[Floats]]
) -> list[Bound]:
    """Measure the mean and the lowest cosine of a token's two vectors."""
    lowest = _per_text(pair, lambda left, right: float((left * right).sum(1).min()), nothing=1.0)
    means = _per_text(pair, lambda left, right: float((left * right).sum(1).mean()), nothing=1.0)
    mean = float((np.concatenate(pair[0]) * np.concatenate(pair[1])).sum(1).mean())
    low, least = _worst(lowest), _worst(means)
    n = len(probes)
    return [
        Bound(compared, "mean cosine", mean, "at least", MEAN_COSINE, str(probes[least]), n),
        Bound(
            compared, "lowest cosine", lowest[low], "at least", LOWEST_COSINE, str(probes[low]), n
        ),
    ]


def batch_effect(pair: tuple[list[Floats], list[Floats]]) -> float:
    """Return the largest 1 - cosine between a token's vectors alone and in a batch, in [0, 2]."""
    # Half the squared distance, which for vectors of length 1 is the same, and 0 for equal ones.
    figures = _per_text(
        pair, lambda left, right: float(((left - right) ** 2).sum(1).max() / 2), nothing=0.0
    )
    return min(2.0, max(figures))


def overlap(
    compared: str, queries: Sequence[Probe], first: list[Scores], second: list[Scores]
) -> Bound:
    """Measure how much of each query's first ten documents two rankings share, on average.

    Args:
        compared: What with what.
        queries: The queries.
        first: Scores of every document, one row a query.
        second: Likewise.
    """
    shares = [_shared(left, right) for left, right in zip(first, second, strict=True)]
    worst = _worst(shares)
    mean = float(np.mean(shares))
    name = f"mean overlap of the first {TOP}"
    return Bound(compared, name, mean, "at least", OVERLAP, str(queries[worst]), len(queries))


def ndcg_loss(
    compared: str,
    queries: Mapping[str, str],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> Bound:
    """Measure how much NDCG@10 is lost, on average; both give it by the ids of the queries."""
    losses = {query: before[query] - after[query] for query in queries}
    worst = max(losses, key=lambda query: losses[query])
    mean = float(np.mean(list(losses.values())))
    text = str(Probe("query", queries[worst]))
    return Bound(compared, "loss of NDCG@10", mean, "at most", NDCG_LOSS, text, len(losses))


def score_rows(queries: list[Floats], documents: list[Floats]) -> list[Scores]:
    """Return the MaxSim of each query with every document, one row a query."""
    return list(maxsim_scores(_ragged(queries), _ragged(documents)))


def _ragged(vectors: list[Floats]) -> TokenVectors:
    return TokenVectors(join_lengths([len(row) for row in vectors]), np.concatenate(vectors))


def _per_text(
    pair: tuple[list[Floats], list[Floats]],
    measure: Callable[[Floats, Floats], float],
    nothing: float,
) -> list[float]:
    """Measure text by text; one of which no token counts measures `nothing`."""
    return [
        measure(left, right) if len(left) else nothing for left, right in zip(*pair, strict=True)
    ]


def _worst(figures: list[float], *, highest: bool = False) -> int:
    """Return the position of the lowest, or highest, figure; NaN is worse than all."""
    values = np.array(figures)
    if np.isnan(values).any():
        return int(np.isnan(values).argmax())
    return int(values.argmax() if highest else values.argmin())


def _shared(left: Scores, right: Scores) -> float:
    numbers = np.arange(len(left))
    first, second = best(left, numbers, TOP), best(right, numbers, TOP)
    return len(np.intersect1d(first, second)) / len(first)
