"""What parity is measured on: ordinary texts, odd ones, and judged queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glane.model.preparation import check_texts
from glane_export.judged import Judged, read_judged
from glane_export.roads import ROLES, Probe
from glane_export.settings import ExportSettings
from glane_export.texts import MIN_TEXTS, ODD, ORDINARY, query_of, too_long
from glane_trainer.model import Model
from glane_trainer.sample import N_TEXTS, Sample

OWN, TRAINING, DATASET, BUILT_IN = "texts given", "training data", "dataset", "built-in"


class Measured(NamedTuple):
    """What parity is measured on, but for the odd texts, which are the same for all.

    Attributes:
        probes: Ordinary texts, as documents and as queries.
        source: Where they are from, in words.
        judged: Queries with judgements, where a dataset was given.
    """

    probes: list[Probe]
    source: str
    judged: Judged | None

    def record(self) -> dict[str, Any]:
        """Return what `parity.json` says of it."""
        record: dict[str, Any] = {"texts": {"source": self.source, "n": len(self.probes)}}
        return record if self.judged is None else {**record, "judged": self.judged.record()}


def read_measured(settings: ExportSettings, sample: Sample | None) -> Measured:
    """Return texts given, else of the training data, else of the dataset, else those of glane.

    Args:
        settings: Texts and dataset.
        sample: What the checkpoint keeps of its training data.

    Raises:
        ValueError: If there are too few texts.
    """
    judged = _judged(settings)
    if settings.texts is not None:
        texts = check_texts(settings.texts, "texts")
        if len(texts) < MIN_TEXTS:
            raise ValueError(f"texts must be at least {MIN_TEXTS}, got {len(texts)}")
        return Measured(_both(texts), OWN, judged)
    if sample is not None:
        return Measured(*_filled(sample, TRAINING), judged)
    if judged is not None:
        return Measured(*_filled(judged.sample(N_TEXTS), DATASET), judged)
    return Measured(_both(ORDINARY), BUILT_IN, judged)


def odd(model: Model[Any]) -> list[Probe]:
    """Return the odd texts, in both roles, cut at different places by the two lengths."""
    texts = [*ODD, *too_long(model.checkpoint.document_length)]
    return [Probe(role, text) for role in ROLES for text in texts]


def _filled(sample: Sample, source: str) -> tuple[list[Probe], str]:
    """Return a sample's texts, and glane's own beside them where they are few."""
    probes = _probes(*sample)
    if min(map(len, sample)) >= MIN_TEXTS:
        return probes, source
    return probes + _both(ORDINARY), f"{source} and {BUILT_IN}"


def _both(texts: Sequence[str]) -> list[Probe]:
    return _probes([query_of(text) for text in texts], texts)


def _probes(queries: Sequence[str], documents: Sequence[str]) -> list[Probe]:
    return [Probe("document", text) for text in documents] + [Probe("query", q) for q in queries]


def _judged(settings: ExportSettings) -> Judged | None:
    if settings.dataset is None:
        return None
    return read_judged(Path(settings.dataset), settings.split)
