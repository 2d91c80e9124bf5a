"""Hybrid ranking: two lists of hits become one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from glane.errors import CheckpointError, IndexDamaged
from glane.hits import Hits, check_k
from glane.model.model_files import FUSION
from glane.model.schema import parse_json
from glane.model.scoring import NO_TOKENS_SCORE
from glane.types import Floats, Ids, Mask, Scores

Fusion = Literal["rrf", "relative"]
Fuse = Literal["none", "rrf", "relative"]
Source = Literal["option", "index", "model", "default"]

DEFAULT_FUSE: Fusion = "relative"
DEFAULT_WEIGHT = 0.25
DEFAULT_CANDIDATES = 100
"""How a search with a reranker ranks where nothing else is said: docs/fusion.md has the figures."""

RRF_RANK = 60
"""What is added to a rank before it is inverted (Cormack, Clarke and Büttcher, SIGIR 2009)."""

JUST_BELOW = 1e-6
"""Deviations between the lowest score of a ranking and a score that stands for none."""


def fuse(
    first: Hits,
    second: Hits,
    k: int,
    method: Fusion = DEFAULT_FUSE,
    weight: float = DEFAULT_WEIGHT,
) -> Hits:
    """Return the k best documents of two rankings of the same queries.

    `rrf` adds weight / (60 + rank). `relative` brings the scores of each ranking to mean 0 and
    deviation 1 over its own hits, then adds them; a document that one ranking lacks gets that
    ranking's lowest, and so does one whose score stands for none: MaxSim of a document without
    tokens, -10,000, and what is lower or not finite. The first ranking counts with `weight`, the
    second with 1 - `weight`.

    Args:
        first: Shape (n_queries, any).
        second: Shape (n_queries, any).
        k: Documents wanted per query, at least 1.
        method: "relative" uses how much better a score is, "rrf" the ranks alone.
        weight: Share of the first ranking, in [0, 1].

    Returns:
        Shape (n_queries, k), best first; equal scores by lower id.

    Raises:
        TypeError: If `k` is not an integer.
        ValueError: If `k` is below 1, `weight` is outside [0, 1], `method` is unknown, or the
            two have different numbers of queries.

    >>> import numpy as np
    >>> bm25 = Hits(np.array([[4, 7, 9]]), np.array([[9, 5, 1]], np.float32))
    >>> maxsim = Hits(np.array([[7, 4, 9]]), np.array([[30, 20, 19]], np.float32))
    >>> fuse(bm25, maxsim, k=2).ids
    array([[7, 4]])
    """
    k = check_k(k)
    check_fusion(method, weight)
    if len(first.ids) != len(second.ids):
        raise ValueError(f"got {len(first.ids)} rows of hits and {len(second.ids)}")
    rows = []
    for query in range(len(first.ids)):
        both = scaled(first.row(query), second.row(query), method)
        rows.append((both.ids, joined(both.first, both.second, weight)))
    return Hits.from_rows(rows, k)


class Scaled(NamedTuple):
    """What two rankings of one query say of each document, on one scale.

    Attributes:
        ids: Documents of either, rising.
        first: What the first says.
        second: What the second says.
    """

    ids: Ids
    first: Floats
    second: Floats


def scaled(one: tuple[Ids, Scores], other: tuple[Ids, Scores], method: Fusion) -> Scaled:
    """Return what two rankings of one query say of each document, before it is weighed.

    Args:
        one: Ids and scores of the first ranking, best first.
        other: Of the second.
        method: As `fuse` takes it.
    """
    scale = _reciprocal_ranks if method == "rrf" else standardised
    # not np.union1d, which imports numpy.ma: nothing else of a first search does
    ids, _ = np.unique(np.concatenate([one[0], other[0]]), return_index=True)
    return Scaled(ids, scale(*one, ids), scale(*other, ids))


def joined(one: Floats, other: Floats, weight: float) -> Scores:
    """Return the sum of what two rankings say of the same documents, the first with `weight`."""
    total: Floats = weight * one + (1 - weight) * other
    return total.astype(np.float32)


def _cut(hits: Hits, k: int) -> Hits:
    return Hits(hits.ids[:, :k], hits.scores[:, :k])


def check_fusion(method: str, weight: float) -> None:
    """Refuse a method that does not exist and a weight outside [0, 1].

    Raises:
        ValueError: If either is wrong.
    """
    if method not in get_args(Fusion):
        raise ValueError(f"fusion must be 'rrf' or 'relative', got {method!r}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be between 0 and 1, got {weight}")


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How the hits of a retriever are reranked and fused; what is None is not said here.

    Attributes:
        fuse: "relative" or "rrf", see `fuse`; "none" takes the reranker's ranking alone.
        fuse_weight: Share of the retriever, in [0, 1].
        candidates: Documents that the retriever hands to the reranker, at least 1.
        prune: Candidates that the reranker looks at in one turn, at least 1: it stops after a turn
            that leaves the answer as it was, see `rerank_pruned`. Where nobody says so it looks at
            all.

    Raises:
        TypeError: If `candidates` or `prune` is not an integer, or `fuse_weight` no number.
        ValueError: If one is out of range, or `fuse` is unknown.
    """

    fuse: Fuse | None = None
    fuse_weight: float | None = None
    candidates: int | None = None
    prune: int | None = None

    def __post_init__(self) -> None:
        if self.fuse is not None and self.fuse not in get_args(Fuse):
            raise ValueError(f"fuse must be 'none', 'rrf' or 'relative', got {self.fuse!r}")
        weight = self.fuse_weight
        if weight is not None:
            if isinstance(weight, bool) or not isinstance(weight, float | int | np.floating):
                raise TypeError(f"fuse_weight must be a number, got {weight!r}")
            if not 0 <= weight <= 1:
                raise ValueError(f"fuse_weight must be between 0 and 1, got {weight}")
        if self.candidates is not None:
            check_k(self.candidates, "candidates")
        if self.prune is not None:
            check_k(self.prune, "prune")

    def over(self, other: FusionSettings) -> FusionSettings:
        """Return what is said here, and of what is not said here what another says."""
        return FusionSettings(**{**other.said(), **self.said()})

    def said(self) -> dict[str, Any]:
        """Return what is said here, by name, as JSON."""
        plain = {"fuse": str, "fuse_weight": float, "candidates": int, "prune": int}
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: plain[name](value) for name, value in given.items()}


UNSAID = FusionSettings()
"""Settings that leave all to others."""


def read_fusion(record: Any, folder: Path) -> FusionSettings:  # noqa: ANN401 (parsed JSON)
    """Return what an index says of fusion.

    Raises:
        IndexDamaged: If it is not what can be said of it.
    """
    try:
        return FusionSettings(**record)
    except (TypeError, ValueError):
        said = f"its settings of fusion are {record!r:.200}"
        raise IndexDamaged(f"{str(folder)!r} is damaged: {said}") from None


def read_model_fusion(content: bytes | None, folder: Path) -> FusionSettings:
    """Return what a reranker's model says of fusion.

    Args:
        content: Of its `fusion.json`; None where it has none.
        folder: Of the model, for errors.

    Raises:
        CheckpointError: If it is not what can be said of it.
    """
    if content is None:
        return UNSAID
    path = folder / FUSION
    record = parse_json(content, str(path))
    try:
        return FusionSettings(**record)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{str(path)!r} says {record!r:.200}: {error}") from None


def write_model_fusion(fusion: FusionSettings, folder: Path) -> None:
    """Write what is said of fusion beside a reranker's model, `fusion.json`, if anything is."""
    if said := fusion.said():
        text = json.dumps(said, indent=2)
        (folder / FUSION).write_text(text + "\n", encoding="utf-8")


class Ranking(NamedTuple):
    """How a search ranks.

    Attributes:
        fuse: "none" also where there is no reranker.
        fuse_weight: Share of the retriever where its ranking and the reranker's are fused.
        candidates: Documents that the retriever hands to the reranker.
        sources: By the names of `FusionSettings`, who said it.
        prune: Candidates that the reranker looks at in one turn; None for all at once.
    """

    fuse: Fuse
    fuse_weight: float
    candidates: int
    sources: Mapping[str, Source]
    prune: int | None = None

    @property
    def method(self) -> Fusion:
        """How the rankings are fused, or would be."""
        return DEFAULT_FUSE if self.fuse == "none" else self.fuse


class Ranked(NamedTuple):
    """What each stage says of the same queries.

    Attributes:
        first: Hits of the retriever.
        second: The same documents in the reranker's order; None where there is no reranker.
    """

    first: Hits
    second: Hits | None

    def is_fused(self, ranking: Ranking) -> bool:
        """Return whether the stages are joined, or one decides alone."""
        return self.second is not None and ranking.fuse != "none"

    def best(self, k: int, ranking: Ranking) -> Hits:
        """Return the k best documents for each query."""
        if self.second is None or ranking.fuse == "none":
            return _cut(self.first if self.second is None else self.second, k)
        return fuse(self.first, self.second, k, ranking.fuse, ranking.fuse_weight)

    def ways(self, k: int, ranking: Ranking) -> dict[str, Hits]:
        """Return the k best documents by "retriever", "reranked" and "fused"."""
        found = {"retriever": _cut(self.first, k)}
        if self.second is not None:
            found["reranked"] = _cut(self.second, k)
            found["fused"] = fuse(self.first, self.second, k, ranking.method, ranking.fuse_weight)
        return found


def decide(
    option: FusionSettings,
    index: FusionSettings,
    model: FusionSettings = UNSAID,
    *,
    reranks: bool,
) -> Ranking:
    """Return how a search ranks: as its options say, else its index, else its model, else default.

    A weight belongs to a method: that of an index or a model is not taken where another method
    holds than the one it was said for.

    Args:
        option: What is asked of this search.
        index: What belongs to the index.
        model: What the reranker's model says.
        reranks: Whether there is a reranker.

    Raises:
        ValueError: If fusion is asked for without a reranker.

    >>> decide(FusionSettings(), FusionSettings(fuse_weight=0.4), reranks=True)[:3]
    ('relative', 0.4, 100)
    """
    check_reranks(option, reranks=reranks)
    told: dict[Source, FusionSettings] = {
        "default": FusionSettings(DEFAULT_FUSE, DEFAULT_WEIGHT, DEFAULT_CANDIDATES),
        "model": model,
        "index": index,
        "option": option,
    }
    if not reranks:
        told = {"default": FusionSettings("none", DEFAULT_WEIGHT, DEFAULT_CANDIDATES)}
    own: Fuse = DEFAULT_FUSE  # the method that a source's weight is for
    methods = {source: (own := settings.fuse or own) for source, settings in told.items()}
    for source in ("model", "index"):
        if source in told and own not in ("none", methods[source]):
            told[source] = replace(told[source], fuse_weight=None)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, settings in told.items():
        values |= settings.said()
        sources |= dict.fromkeys(settings.said(), source)
    return Ranking(**values, sources=sources)


def check_reranks(settings: FusionSettings, *, reranks: bool) -> None:
    """Refuse to fuse where there is one ranking alone.

    Raises:
        ValueError: If fusion is asked for without a reranker.
    """
    if settings.fuse not in (None, "none") and not reranks:
        raise ValueError(f"fuse={settings.fuse!r} needs a reranker")


def _reciprocal_ranks(ids: Ids, scores: Scores, union: Ids) -> Floats:
    """Return 1 / (60 + rank) for each document of the union, 0 where it is not ranked."""
    values = np.zeros(len(union))
    values[np.searchsorted(union, ids)] = 1 / (RRF_RANK + np.arange(1, len(ids) + 1))
    return values


def standardised(ids: Ids, scores: Scores, union: Ids) -> Floats:
    """Return each score less the mean, over the deviation; what is not ranked gets the lowest."""
    if len(ids) == 0:
        return np.zeros(len(union))
    exact = scores.astype(np.float64)
    told = _told(exact)
    scaled = np.zeros(len(exact))
    if told.any():
        scaled[told] = (exact[told] - exact[told].mean()) / (exact[told].std() or 1)
    low, high = scaled.min() - JUST_BELOW, scaled.max() + JUST_BELOW
    scaled[~told] = np.where(exact[~told] == np.inf, high, low)
    values = np.full(len(union), scaled.min())
    values[np.searchsorted(union, ids)] = scaled
    return values


def _told(scores: Floats) -> Mask:
    """Return which scores say something; the others are marks, or not finite.

    A single mark of -10,000 would stretch the deviation until the other scores count for nothing.
    """
    finite = np.isfinite(scores)
    told = finite & (scores > NO_TOKENS_SCORE)
    return told if told.any() else finite
