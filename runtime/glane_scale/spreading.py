"""Documents encoded by many processes, on one machine or a cluster, by Ray.

The process that makes the index reads, counts words and writes; the stages that have a model are
copied into one actor a core, which encode the same groups of texts that it would, and their
answers are taken in order. So the index is that of one machine, array by array, where the machines
are of one instruction set. What is with the actors at a time is bounded. An actor that dies is
replaced by Ray, and its groups are encoded again.
"""

from __future__ import annotations

import json
import logging
import platform
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from glane.model.processor import processor
from glane.retrievers.contract import Retriever
from glane.retrievers.encoding import encode_group, one_by_one
from glane.retrievers.opening import stage_class
from glane.search import Search
from glane_scale.cluster import actor_class, connected, n_cores, n_gpus

LOG = logging.getLogger("glane")

AHEAD = 3
"""Groups of texts that an actor has or has had ready, at most."""


class Worker:
    """An actor: the stages of an index that have a model, each loaded when first asked for."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._folder = tempfile.TemporaryDirectory()
        self._stages: dict[str, Retriever] = {}

    def encode(self, record: str, models: list[Any], texts: list[str]) -> tuple[Any, int]:
        """Return what a stage stores of some texts, and how many of them its model cut.

        Args:
            record: Of the stage, as JSON.
            models: One reference to the files of each stage's model, by its record; in a list,
                which Ray hands over as it is, since it is followed once.
            texts: Any strings.
        """
        stage = self._stage(record, models[0])
        before = stage.encoder.n_truncated["document"]
        vectors = encode_group(stage, texts)
        return vectors, stage.encoder.n_truncated["document"] - before

    def instructions(self) -> list[str]:
        """Return what products depend on, see `instructions`."""
        return instructions()

    def _stage(self, record: str, models: Any) -> Any:  # noqa: ANN401 (a stage with a model)
        if record not in self._stages:
            folder = Path(self._folder.name) / str(len(self._stages))
            folder.mkdir()
            files: dict[str, dict[str, bytes]] = ray.get(models)
            for name, content in files[record].items():
                (folder / name).write_bytes(content)
            said = json.loads(record)
            self._stages[record] = stage_class(said).from_record(said, folder, threads=1)
        return self._stages[record]


@contextmanager
def spread(
    search: Search, address: str, n_workers: int | None = None, *, gpus: bool = False
) -> Iterator[None]:
    """Start actors that encode for a search, until the block ends.

    Args:
        search: Whose stages have a model.
        address: Of a cluster, as `ray.init` takes it: "auto", "HOST:PORT" or "ray://HOST:PORT";
            "local" starts Ray on this machine, and ends it.
        n_workers: Actors, a core each; by default one for each core of the cluster, or each GPU.
        gpus: Whether each has a GPU of its own, which its models compute on.

    Raises:
        ConnectionError: If there is no cluster at the address.
        ValueError: If it has fewer cores, or GPUs, than there are to be workers.
        OSError: If Ray gives up on a worker.
    """
    with connected(address, n_workers):
        number = n_workers or max(1, n_gpus() if gpus else n_cores())
        kind = actor_class(Worker, number, "workers", gpus=gpus)
        models = ray.put(_models(search))
        workers = [kind.remote() for _ in range(number)]
        tell_mixed(ray.get([worker.instructions.remote() for worker in workers]))

        def each(stage: Retriever, groups: list[Sequence[str]]) -> Iterator[Any]:
            if stage.encoder is None:  # words are counted here: they share one vocabulary
                yield from one_by_one(stage, groups)
                return
            record = _record(stage)
            running: deque[Any] = deque()
            for number, texts in enumerate(groups):
                if len(running) == AHEAD * len(workers):
                    yield _taken(stage, running.popleft())
                running.append(
                    workers[number % len(workers)].encode.remote(record, [models], texts)
                )
            while running:
                yield _taken(stage, running.popleft())

        search.encode_by(each, number)
        try:
            yield
        finally:
            search.encode_by(one_by_one, 1)


def _models(search: Search) -> dict[str, dict[str, bytes]]:
    """Return the files of each stage's model, by the stage's record."""
    return {
        _record(stage): {
            name: b"".join(blocks()) for name, blocks in stage.encoder.contents().items()
        }
        for stage in search.stages().values()
        if stage.encoder is not None
    }


def _record(stage: Retriever) -> str:
    return json.dumps(stage.record(), sort_keys=True)


def _taken(stage: Any, running: Any) -> Any:  # noqa: ANN401 (a reference of Ray's)
    vectors, n_truncated = ray.get(running)
    stage.encoder.n_truncated["document"] += n_truncated
    return vectors


def instructions() -> list[str]:
    """Return the machine's architecture, and what its processor has that products depend on."""
    return [platform.machine(), *(processor().instructions or ())]


def tell_mixed(found: list[list[str]]) -> None:
    """Say so where machines may give other last bits than others."""
    distinct = sorted({" ".join(own) for own in found})
    if len(distinct) > 1:
        LOG.warning(
            "the workers' processors differ (%s): vectors may differ in their last bits from those "
            "of one machine",
            "; ".join(distinct),
        )
