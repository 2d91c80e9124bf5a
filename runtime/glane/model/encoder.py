"""Runs an exported model over texts: the one place that calls onnxruntime."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from tqdm import tqdm

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint, Kind, ModelInfo, Schema
from glane.model.model_files import ModelFiles
from glane.model.preparation import Batch, Role, TextPreparer
from glane.threads import check_threads
from glane.types import Ids

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Row = TypeVar("Row")
Read = TypeVar("Read", bound=Schema)

Convert = Callable[[Batch, list[Any]], list[Row]]
"""Makes the rows of a batch from the batch and the graph's outputs."""

BATCH_TOKENS = 256
"""Tokens a model is given at once, padding included. A longer text goes alone. More than this
gains nothing on a CPU: the matrix products are large enough, and the memory grows."""

WINDOW = 2048
"""Texts that are tokenized and sorted by length together; what bounds the memory beside vectors."""


class Encoder:
    """A model folder, ready to encode; calls from many threads are safe.

    Several texts are shared out over single-threaded runs, one a thread, which on two cores
    encodes 1.5 to 2 times as many texts as one run on all threads (`benchmarks/encoding.py`);
    a single text gets a run on all threads.

    Attributes:
        folder: The model folder, absolute.
        files: Its files, as they were read.
        checkpoint: Its `glane.json`.
        info: Its `model.json`.
        preparer: Its text preparation.
        n_truncated: Texts cut at the model's length so far, by role.
    """

    def __init__(self, folder: str | Path, kind: Kind, threads: int | None = None) -> None:
        """Read the small files of a model folder; the graph is loaded at first use.

        Args:
            folder: Written by `glane export`.
            kind: The kind of model that is expected.
            threads: Threads to compute with; by default what the process may use.

        Raises:
            CheckpointError: If a file is missing or damaged, or the model is of another kind.
            ValueError: If `threads` is below 1.
        """
        self.threads = check_threads(threads)
        self.files = ModelFiles(folder)
        self.folder = self.files.folder
        self.info = self._parsed(ModelInfo)
        self.checkpoint = self._parsed(Checkpoint)
        self.preparer = TextPreparer.parse(
            self.checkpoint,
            self.files.small["tokenizer.json"],
            str(self.folder / "tokenizer.json"),
        )
        if self.checkpoint.kind != kind:
            raise CheckpointError(
                f"{str(folder)!r} holds a {self.checkpoint.kind} model, expected {kind}"
            )
        self.n_truncated: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the model, of the very bytes that were read."""
        return self.files.fingerprint

    def contents(self) -> dict[str, Callable[[], Iterator[bytes]]]:
        """Return for each file of the model, by its name, what yields its content as it was read.

        Blocks are of 1 MiB. Those of the graph end in `CheckpointError` where the file was written
        to since it was opened.
        """
        return self.files.contents()

    def _parsed(self, schema: type[Read]) -> Read:
        name = schema.file_name
        return schema.parse(self.files.small[name], str(self.folder / name))

    def tokenize(self, texts: Sequence[str], role: Role) -> list[Ids]:
        """Return the token ids of each text, and count those that were cut.

        Raises:
            TypeError: If `texts` is one string, or holds something else than strings.
        """
        tokens = self.preparer.tokenize(texts, role)
        with self._lock:
            self.n_truncated[role] += tokens.n_truncated
        return tokens.rows

    def map(
        self,
        texts: Sequence[str],
        role: Role,
        convert: Convert[Row],
        *,
        progress: bool = False,
    ) -> Iterator[Row]:
        """Encode texts and yield one row for each, in their order.

        Args:
            texts: Any strings.
            role: Whether they are queries or documents.
            convert: Called from several threads.
            progress: Whether a bar runs on standard error where that is a terminal.

        Raises:
            TypeError: If `texts` is one string, or holds something else than strings.
            CheckpointError: If the model cannot be loaded.
        """
        hidden = None if progress else True  # None: tqdm hides the bar where there is no terminal
        with tqdm(total=len(texts), desc=f"encode {role}s", disable=hidden, leave=False) as bar:
            for start in range(0, len(texts), WINDOW):
                rows = self._window(texts[start : start + WINDOW], role, convert, bar)
                yield from rows

    def _window(
        self,
        texts: Sequence[str],
        role: Role,
        convert: Convert[Row],
        bar: tqdm[NoReturn],
    ) -> list[Row]:
        tokens = self.tokenize(texts, role)
        n_terms = n_terms_of(self.checkpoint, role)
        rows: list[Any] = [None] * len(texts)

        def encode(session: InferenceSession, positions: Ids) -> None:
            batch = self.preparer.batch([tokens[i] for i in positions], role)
            made = convert(batch, run(session, batch, n_terms))
            for position, row in zip(positions, made, strict=True):
                rows[position] = row
            bar.update(len(positions))

        batches = self._batches(tokens, role)
        if len(batches) <= 1 or self.threads == 1:
            for positions in batches:
                encode(self._wide, positions)
        else:
            session = self._narrow
            with ThreadPoolExecutor(self.threads) as pool:
                try:
                    for done in [pool.submit(encode, session, positions) for positions in batches]:
                        done.result()
                finally:  # after an error, or Ctrl-C, the rest of the window is not computed
                    pool.shutdown(cancel_futures=True)
        return rows

    def _batches(self, rows: Sequence[Ids], role: Role) -> list[Ids]:
        """Return the positions of texts to run together: similar lengths, long texts first."""
        checkpoint = self.checkpoint
        expanded = role == "query" and checkpoint.query_expansion
        lengths = np.array([checkpoint.query_length if expanded else len(row) for row in rows])
        order = np.argsort(-lengths, kind="stable")
        if self.info.batch_dependent:
            return list(order[:, None])
        batches, start = [], 0
        while start < len(order):
            n_texts = max(1, BATCH_TOKENS // max(1, int(lengths[order[start]])))
            batches.append(order[start : start + n_texts])
            start += n_texts
        return batches

    @cached_property
    def _wide(self) -> InferenceSession:
        return self._load(self.threads)

    @cached_property
    def _narrow(self) -> InferenceSession:
        return self._load(1)

    def _load(self, threads: int) -> InferenceSession:
        graph = self.files.graph
        graph.hash()
        try:
            session = load_session(graph.path, threads, graph.read())
        finally:
            graph.check()
        self.files.check_proof()
        return session


def n_terms_of(checkpoint: Checkpoint, role: Role) -> int:
    """Return how many terms a text keeps at most; 0 of a model without terms."""
    return checkpoint.query_terms if role == "query" else checkpoint.document_terms


def run(session: InferenceSession, batch: Batch, n_terms: int = 0) -> list[Any]:
    """Return the graph's outputs for a batch.

    Args:
        session: From `load_session`.
        batch: Texts in one role.
        n_terms: Terms wanted of each text; 0 of a graph that does not ask for it.
    """
    feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if n_terms:
        feed["n_terms"] = np.array([n_terms], np.int64)
    return list(session.run(None, feed))


def load_session(path: Path, threads: int, content: bytes | None = None) -> InferenceSession:
    """Load an ONNX file on the CPU.

    Args:
        path: The file.
        threads: Threads of one run, at least 1.
        content: What the file holds, where it was read already.

    Raises:
        CheckpointError: If the file is missing or is not a model that onnxruntime can run.
    """
    import onnxruntime
    from onnxruntime.capi import (
        onnxruntime_pybind11_state as state,  # pyright: ignore[reportAttributeAccessIssue] (C)
    )

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    failures = (
        *(state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf),
        *(state.NoSuchFile, state.NotImplemented, state.RuntimeException),
    )
    try:
        return onnxruntime.InferenceSession(
            str(path) if content is None else content, options, providers=["CPUExecutionProvider"]
        )
    except failures as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{str(path)!r} cannot be run by onnxruntime: {reason}") from None
