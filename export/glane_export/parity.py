"""The bounds that an export must keep, and what was measured against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from glane.errors import ParityError
from glane.hits import best
from glane.types import Floats, Scores
from glane_export.roads import Probe
from glane_export.rows import Row, TermRow

Pairs = Sequence[tuple[Row, Row]]
"""The rows of each text by two roads."""

DIFFERENCE = 1e-4
"""fp32 against torch: largest difference of a component."""

BATCH_DIFFERENCE = 1e-5
"""fp32 alone against in a batch; an int8 model beyond it depends on its batch."""


class Limits(NamedTuple):
    """What a version of fewer bits must keep of fp32.

    Attributes:
        mean_cosine: Of a token's two vectors, or a text's, at least.
        lowest_cosine: Of any, at least.
        overlap: Of a text's terms, and of the first `TOP` documents, on average at least.
    """

    mean_cosine: float
    lowest_cosine: float
    overlap: float


INT8 = Limits(mean_cosine=0.985, lowest_cosine=0.90, overlap=0.9)
FP16 = Limits(mean_cosine=0.999, lowest_cosine=0.99, overlap=0.98)

SHARE = 0.9
"""Least share of the products with weights that are of integers in what is called int8."""

TOP = 10


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound and the figure measured against it.

    Attributes:
        compared: What with what.
        measure: What was measured.
        figure: The worst value, or the mean where the measure says so.
        sense: On which side of the limit the figure must lie.
        limit: The bound.
        text: The text that was worst, cut, with its role; empty where it is of no text.
        n: Over how many texts, queries or products.
        remark: What else is to be said.
    """

    compared: str
    measure: str
    figure: float
    sense: Literal["at most", "at least"]
    limit: float
    text: str
    n: int
    remark: str = ""

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
    missed = [_told(bound) for bound in bounds if not bound.kept]
    if missed:
        raise ParityError("parity is lost, nothing was written; " + "; ".join(missed))


def _told(bound: Bound) -> str:
    worst = f"worst for {bound.text}" if bound.text else ""
    parts = [
        f"{bound.compared}: {bound.measure} is {bound.figure:.3g}",
        f"must be {bound.sense} {bound.limit:g}",
        worst,
        bound.remark,
    ]
    return ", ".join(part for part in parts if part)


def differences(compared: str, limit: float, probes: Sequence[Probe], pairs: Pairs) -> list[Bound]:
    """Measure the largest difference of any component, one bound for each kind of them."""
    parts: dict[str, list[float]] = {}
    for left, right in pairs:
        for name, sides in left.components(right).items():
            parts.setdefault(name, []).append(_largest_difference(*sides))
    bounds = []
    for name, figures in parts.items():
        worst = _worst(figures, highest=True)
        measure, text = f"largest difference of {name}", str(probes[worst])
        bounds.append(Bound(compared, measure, figures[worst], "at most", limit, text, len(probes)))
    return bounds


def cosines(
    compared: str, probes: Sequence[Probe], pairs: Pairs, limits: Limits = INT8
) -> list[Bound]:
    """Measure the mean and the lowest cosine of two vectors."""
    sides = [left.directions(right) for left, right in pairs]
    products = [(left * right).sum(1) for left, right in sides]
    means = [float(row.mean()) if len(row) else 1.0 for row in products]
    lowest = [float(row.min()) if len(row) else 1.0 for row in products]
    mean = float(np.concatenate(products).mean())
    low, least = _worst(lowest), _worst(means)
    measured = (
        ("mean cosine", mean, limits.mean_cosine, least),
        ("lowest cosine", lowest[low], limits.lowest_cosine, low),
    )
    return [
        Bound(compared, name, figure, "at least", limit, str(probes[worst]), len(probes))
        for name, figure, limit, worst in measured
    ]


def batch_effect(pairs: Pairs) -> float:
    """Return the largest 1 - cosine between two vectors, in [0, 2]; 0 for equal ones."""
    sides = [left.directions(right) for left, right in pairs]
    # Half the squared distance, which for vectors of length 1 is the same, and 0 for equal ones.
    halves = [((left - right) ** 2).sum(1).max(initial=0.0) / 2 for left, right in sides]
    return min(2.0, float(max(halves)))


def shared_terms(
    compared: str, probes: Sequence[Probe], pairs: Pairs, limits: Limits = INT8
) -> list[Bound]:
    """Measure how many terms two rows share, on average over the texts; nothing without terms."""
    shares = [
        left.shared(right)
        for left, right in pairs
        if isinstance(left, TermRow) and isinstance(right, TermRow)
    ]
    if not shares:
        return []
    return [_mean_share(compared, "mean overlap of terms", probes, shares, limits)]


def overlap(
    compared: str,
    probes: Sequence[Probe],
    first: Sequence[Row],
    second: Sequence[Row],
    limits: Limits = INT8,
) -> Bound:
    """Measure how much of each query's first ten documents two rankings share, on average.

    Args:
        compared: What with what.
        probes: The texts; each query ranks all documents.
        first: Their rows.
        second: Likewise.
        limits: What they must share.
    """
    queries = [row for row, probe in enumerate(probes) if probe.role == "query"]
    documents = [row for row, probe in enumerate(probes) if probe.role == "document"]
    scores = [
        [side[query].scores([side[row] for row in documents]) for query in queries]
        for side in (first, second)
    ]
    shares = [_shared(left, right) for left, right in zip(*scores, strict=True)]
    asked = [probes[row] for row in queries]
    return _mean_share(compared, f"mean overlap of the first {TOP}", asked, shares, limits)


def share(compared: str, n_int8: int, n_products: int) -> Bound:
    """Measure how many of the products with weights are of integers."""
    figure = n_int8 / n_products if n_products else 0.0
    remark = f"{n_int8} of {n_products} products with weights are of integers"
    measure = "share of products in int8"
    return Bound(compared, measure, figure, "at least", SHARE, "", n_products, remark)


def _largest_difference(left: Floats, right: Floats) -> float:
    """Return the largest difference of two numbers, of those above 1 in proportion to the first.

    0 where there is none to compare. Weights that are sums over tokens may be hundreds.
    """
    if not left.size:
        return 0.0
    return float((np.abs(left - right) / np.maximum(1, np.abs(left))).max())


def _mean_share(
    compared: str, measure: str, probes: Sequence[Probe], shares: list[float], limits: Limits
) -> Bound:
    mean, text = float(np.mean(shares)), str(probes[_worst(shares)])
    return Bound(compared, measure, mean, "at least", limits.overlap, text, len(probes))


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
