"""What is counted, in the text that Prometheus reads."""

from __future__ import annotations

import os
from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Of the environment: a folder in which several workers add up what they count."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Histograms of requests and of the stages of a search, and what the index holds."""

    type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """Begin at nothing."""
        own = self._registry = CollectorRegistry()
        self._requests = Histogram(
            "glane_request_duration_seconds",
            "Time from a request's first byte to its answer",
            ["route", "status"],
            buckets=SECONDS,
            registry=own,
        )
        self._stages = Histogram(
            "glane_stage_duration_seconds",
            "Time that a stage of a search takes: filter, encode, retrieve, rerank, fuse",
            ["stage"],
            buckets=SECONDS,
            registry=own,
        )
        self._texts = Counter(
            "glane_texts_total",
            "Texts that were reranked, encoded or written",
            ["what"],
            registry=own,
        )
        self._documents = Gauge(
            "glane_documents", "Documents of the index", registry=own, multiprocess_mode="max"
        )
        self._at_work = Gauge(
            "glane_requests_at_work",
            "Requests at work or waiting",
            registry=own,
            multiprocess_mode="livesum",
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).observe(seconds)

    def stages(self, timings: Mapping[str, float]) -> None:
        """Count what the stages of a search took, in milliseconds."""
        for stage, milliseconds in timings.items():
            self._stages.labels(stage).observe(milliseconds / 1e3)

    def texts(self, what: str, n: int) -> None:
        """Count texts."""
        self._texts.labels(what).inc(n)

    def at_work(self, change: int) -> None:
        """Count a request that begins, 1, or ends, -1."""
        self._at_work.inc(change)

    def text(self, n_documents: int) -> bytes:
        """Return all of it; of several workers, what they counted together."""
        self._documents.set(n_documents)
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
