"""Runs an exported model over texts."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from glane.errors import CheckpointError
from glane.model.checkpoint import Checkpoint, Kind, ModelInfo
from glane.model.devices import Device, check_device
from glane.model.executing import Executor, executing
from glane.model.model_files import ModelFiles
from glane.model.outputs import check_outputs
from glane.model.preparation import Batch, Role, TextPreparer, check_texts
from glane.model.progress import Bar, bar
from glane.model.schema import Schema
from glane.model.session import load_session, maps_weights, run
from glane.threads import check_threads
from glane.types import Ids

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["BATCH_TOKENS", "WINDOW", "Encoder", "load_session", "n_terms_of", "run"]

Row = TypeVar("Row")
Read = TypeVar("Read", bound=Schema)

Convert = Callable[[Batch, list[Any]], list[Row]]
"""Makes the rows of a batch from the batch and the graph's outputs."""

BATCH_TOKENS = 256
"""Tokens a model is given at once, padding included. A longer text goes alone. More than this
gains nothing on a CPU: the matrix products are large enough, and the memory grows."""

WINDOW = 2048
"""Texts at most that are sorted by length together."""

WINDOW_TOKENS = 8192
"""Tokens of texts that are sorted together, about. Two windows are in work at a time, so that no
thread waits at the end of one: vectors of twice as many tokens are in memory beside those that were
taken."""

SLICE = 32
"""Texts that are tokenized together."""

LOG = logging.getLogger("glane")


class Window(NamedTuple, Generic[Row]):
    """Consecutive texts that are being encoded.

    Attributes:
        rows: What is made of each, as far as it is done.
        batches: One future a batch; its result is how many texts it has made rows of.
    """

    rows: list[Row]
    batches: list[Future[int]]


class Encoder:
    """A model folder, ready to encode; calls from many threads are safe.

    The weights are in memory once, in one session of `threads` threads: a single text gets all of
    them, several texts are batches that as many threads run at once. Two sessions, one of them for
    single threads, would encode 6 to 8 % more documents for the same processor time, and hold the
    weights twice; a session of one thread alone takes 1.2 to 1.4 times as long for a query on two
    idle cores (MiniLM in fp32; as long in int8), and more the more cores there are, but no longer
    on busy ones: a service that answers many queries at once does best with `threads=1`
    (`benchmarks/encoding.py`).

    Attributes:
        folder: The model folder, absolute.
        files: Its files, as they were read.
        checkpoint: Its `glane.json`.
        info: Its `model.json`.
        preparer: Its text preparation.
        threads: Threads to compute with.
        device: What the graph runs on.
        n_truncated: Texts cut at the model's length so far, by role; each call counts its texts
            again.
    """

    def __init__(
        self,
        folder: str | Path,
        kind: Kind,
        threads: int | None = None,
        device: Device = "auto",
    ) -> None:
        """Read the small files of a model folder; the graph is loaded at first use.

        Args:
            folder: Written by `glane export`.
            kind: The kind of model that is expected.
            threads: Threads to compute with; by default what the process may use.
            device: What the graph runs on; "auto" is what `GLANE_DEVICE` says, else CUDA where
                onnxruntime has it, else the CPU. Whether it is there is seen at first use.

        Raises:
            CheckpointError: If a file is missing or damaged, or the model is of another kind.
            ValueError: If `threads` is below 1, or there is no such device.
        """
        self.threads = check_threads(threads)
        self.device: Device = check_device(device)
        self.files = ModelFiles(folder)
        self.folder = self.files.folder
        self.info = self._parsed(ModelInfo)
        self.checkpoint = self._parsed(Checkpoint)
        if self.checkpoint.kind != kind:
            raise CheckpointError(
                f"{str(folder)!r} holds a {self.checkpoint.kind} model, expected {kind}"
            )
        self.preparer = TextPreparer.parse(
            self.checkpoint,
            self.files.small["tokenizer.json"],
            str(self.folder / "tokenizer.json"),
            one_thread=True,
        )
        self.n_truncated: Counter[str] = Counter()
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._loaded: InferenceSession | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the model again, from its folder, where this is unpickled."""
        place = (self.folder, self.checkpoint.kind, self.threads, self.device)
        return _loaded_again, (*place, self.fingerprint)

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

    def tokenize(self, texts: Sequence[str], role: Role) -> list[Ids]:
        """Return the token ids of each text, and count those that were cut.

        Raises:
            TypeError: If `texts` is one string, or holds something else than strings.
        """
        tokens = self.preparer.tokenize(texts, role)
        if tokens.n_truncated:
            with self._lock:
                self.n_truncated[role] += tokens.n_truncated
            LOG.info("cut %d of %d texts (%s)", tokens.n_truncated, len(texts), role)
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
            CheckpointError: If the model cannot be loaded, fails, or gives what is not vectors.
        """
        texts = check_texts(texts, "texts")
        shown = bar(len(texts), f"encode {role}s", progress)
        with shown as counter, executing(self.threads, len(texts)) as executor:
            windows: deque[Window[Row]] = deque()
            for tokens in self._windows(texts, role):
                windows.append(self._start(executor, tokens, role, convert))
                if len(windows) > 1:
                    yield from _finish(windows.popleft(), counter)
            while windows:
                yield from _finish(windows.popleft(), counter)

    def _windows(self, texts: list[str], role: Role) -> Iterator[list[Ids]]:
        """Yield the token ids of consecutive texts, some `WINDOW_TOKENS` together."""
        window: list[Ids] = []
        n_tokens = 0
        for start in range(0, len(texts), SLICE):
            for row in self.tokenize(texts[start : start + SLICE], role):
                window.append(row)
                n_tokens += self.preparer.length(row, role)
                if n_tokens >= WINDOW_TOKENS or len(window) == WINDOW:
                    yield window
                    window, n_tokens = [], 0
        if window:
            yield window

    def _start(
        self, executor: Executor, tokens: list[Ids], role: Role, convert: Convert[Row]
    ) -> Window[Row]:
        """Begin to encode the texts of a window."""
        rows: list[Any] = [None] * len(tokens)
        session, n_terms = self._session(), n_terms_of(self.checkpoint, role)
        name = repr(str(self.folder))

        def encode(positions: Ids) -> int:
            batch = self.preparer.batch([tokens[i] for i in positions], role)
            outputs = run(session, batch, n_terms, name)
            check_outputs(outputs, batch, self.checkpoint, name)
            for position, row in zip(positions, convert(batch, outputs), strict=True):
                rows[position] = row
            return len(positions)

        batches = self._batches(tokens, role)
        return Window(rows, [executor.submit(encode, positions) for positions in batches])

    def _batches(self, rows: Sequence[Ids], role: Role) -> list[Ids]:
        """Return the positions of texts to run together: similar lengths, long texts first."""
        lengths = np.array([self.preparer.length(row, role) for row in rows])
        order = np.argsort(-lengths, kind="stable")
        if self.info.batch_dependent:
            return list(order[:, None])
        batches, start = [], 0
        while start < len(order):
            n_texts = max(1, BATCH_TOKENS // max(1, int(lengths[order[start]])))
            batches.append(order[start : start + n_texts])
            start += n_texts
        return batches

    def _session(self) -> InferenceSession:
        """Return the session, which the first call loads, and the others wait for."""
        with self._loading:
            if self._loaded is None:
                _ = self.files.fingerprint  # as read before onnxruntime reads
                try:
                    session = self._load(mapped=maps_weights())
                except CheckpointError:
                    if self.files.graph.is_in_place():
                        raise
                    session = self._load(mapped=False)  # of the open file, whose place is taken
                self.files.check_proof()
                self._loaded = session
            return self._loaded

    def _load(self, *, mapped: bool) -> InferenceSession:
        """Return a new session of the model that was opened."""
        try:
            source = self.files.source(mapped=mapped)
            return load_session(self.files.graph.path, self.threads, source, self.device)
        finally:
            self.files.check()

    def _parsed(self, schema: type[Read]) -> Read:
        name = schema.file_name
        return schema.parse(self.files.small[name], str(self.folder / name))


def _finish(window: Window[Row], counter: Bar) -> list[Row]:
    """Return a window's rows when all are there."""
    for done in window.batches:
        counter.update(done.result())
    return window.rows


def _loaded_again(
    folder: Path, kind: Kind, threads: int, device: Device, fingerprint: str
) -> Encoder:
    """Return the encoder of a model folder that must still hold the same model."""
    made = Encoder(folder, kind, threads, device)
    if made.fingerprint != fingerprint:
        raise CheckpointError(
            f"{str(folder)!r} is {made.fingerprint}, but {fingerprint} was pickled; load the model "
            "in the process that uses it"
        )
    return made


def n_terms_of(checkpoint: Checkpoint, role: Role) -> int:
    """Return how many terms a text keeps at most; 0 of a model without terms."""
    return checkpoint.query_terms if role == "query" else checkpoint.document_terms
