"""What answers behind the routes: an index and its model, read by threads, written by one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any, Self, TypeVar

from glane.collection.fields import join_fields
from glane.errors import GlaneError
from glane.retrievers.changing import Changes
from glane.retrievers.contract import Retriever
from glane.retrievers.explaining import Explains
from glane.retrievers.neural import Neural
from glane.retrievers.passages import plain
from glane.retrievers.text_reranker import TextReranker
from glane.search import Search
from glane_serve.metrics import Metrics
from glane_serve.refusals import Refused
from glane_serve.settings import ServeSettings
from glane_serve.writing import Writer

LOG = logging.getLogger("glane.serve")

WARMING = "warm"
"""Asked before the first request where no document has words to ask for."""

READ, CHARACTERS = 16, 200
"""How many documents' texts are asked for before, and how much of each."""

STOPPING = 25
"""Seconds that the writer has to end when the server stops."""

T = TypeVar("T")


class Service:
    """An index, a model that reranks or encodes texts, or both.

    Attributes:
        settings: What it was told.
        search: Of the index, or None.
        models: Models that texts can be given to, by their kind.
        writer: Of the index; None where nothing is written.
        metrics: What is counted.
        trouble: Why it cannot answer, or None.
    """

    def __init__(self, settings: ServeSettings, search: Changes | None = None) -> None:
        """Load what is served, as far as that tells whether it can be; see `warm`.

        Args:
            settings: What it is told.
            search: Of the index, where it is open already.

        Raises:
            CheckpointError: If something is missing or damaged.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.trouble: str | None = None
        self.search = search
        self.writer: Writer | None = None
        self.models: dict[str, Neural[Any, Any]] = {}
        self._reranker: TextReranker | None = None
        if settings.index is not None and search is None:
            self.search = Search.load(settings.index, threads=1)
        self._take_models()
        self._computing = ThreadPoolExecutor(settings.threads, "computing")
        self._refreshing: asyncio.Task[None] | None = None

    def _take_models(self) -> None:
        """Take the models of the index, as it is now, and the one that was named besides."""
        stages: list[Retriever] = []
        if self.settings.model is not None:
            given = self._reranker or TextReranker.load(self.settings.model, threads=1)
            stages, self._reranker = [given.stage], given
        if self.search is not None:
            own = list(reversed(self.search.stages().values()))
            stages += [stage for stage in own if stage.encoder is not None]
            if self.settings.model is None and not stages:
                self._reranker = None
            elif self.settings.model is None and self._is_another(stages[0]):
                self._reranker = TextReranker(stages[0])
        models = [plain(stage) for stage in reversed(stages)]
        self.models = {stage.kind: stage for stage in models if isinstance(stage, Neural)}

    def _is_another(self, stage: Retriever) -> bool:
        """Return whether texts are not reranked by the model of a stage yet."""
        return self._reranker is None or self._reranker.stage.encoder is not stage.encoder

    def warm(self) -> None:
        """Load models and caches now, and what each thread needs, not at the first requests."""
        n_threads = self.settings.threads
        together = Barrier(n_threads)
        asked = [WARMING] if self.search is None else texts_of(self.search)

        def warm(number: int) -> None:
            together.wait()  # so that no thread does it twice, and all need memory at once
            for text in asked:
                self._use(f"{number} {text}")

        list(self._computing.map(warm, range(n_threads)))

    def _use(self, query: str) -> None:
        """Search and show, as far as there is an index, and encode."""
        if self.search is not None:
            keys = self.search.search([query], phrases=False).ids[0]
            if self.search.kept is not None:
                self.search.excerpts(query, keys)
        for model in self.models.values():
            model.encode_queries([query])

    async def __aenter__(self) -> Self:
        """Begin to write and to refresh."""
        if self.search is not None:
            if not self.settings.read_only:
                self.writer = Writer(self.search, wait=self.settings.limits.seconds)
            self._refreshing = asyncio.create_task(self._keep_fresh(self.search))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End; what was taken is finished."""
        self.trouble = "the server is stopping"
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        if self.writer is not None:
            await self.writer.close(STOPPING)
        self._computing.shutdown(wait=False, cancel_futures=True)

    async def compute(self, call: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
        """Run what computes in a thread, when one is free."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._computing, call, *arguments)

    async def read(self, call: Callable[[Explains], T]) -> T:
        """Run what reads the index, all of it from one state, in a thread; see `Changes.read`.

        Raises:
            Refused: If a model alone is served.
        """
        search = self.index()
        return await self.compute(lambda: search.read(call))

    def index(self) -> Changes:
        """Return the search of the index.

        Raises:
            Refused: If a model alone is served.
        """
        if self.search is None:
            raise Refused(404, "no index is served here, but a model alone: see /info")
        return self.search

    def reranker(self) -> TextReranker:
        """Return what texts are reranked by.

        Raises:
            Refused: If no model is served.
        """
        if self._reranker is None:
            raise Refused(424, "no model is served here that could rerank texts; pass --model")
        return self._reranker

    async def _keep_fresh(self, search: Changes) -> None:
        """Take new states of the index that others commit."""
        while True:
            await asyncio.sleep(self.settings.refresh)
            try:
                await asyncio.to_thread(search.refresh)
                self._take_models()  # the writer may have seen the new state first
            except (GlaneError, OSError) as error:
                if self.trouble is None:
                    LOG.error("the index cannot be refreshed: %s", error)
                self.trouble = str(error)
            else:
                self.trouble = None


def texts_of(search: Changes) -> list[str]:
    """Return texts that find documents, so that all stages are used, where documents are kept."""
    if search.kept is None:
        return [WARMING]
    records = search.kept.get(search.collection.stored()[:READ])
    texts = (join_fields(record, search.on) for record in records)
    return [text[:CHARACTERS] for text in texts if text] or [WARMING]
