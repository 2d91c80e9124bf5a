"""The one place that loads and calls onnxruntime.

**No telemetry.** Since 1.29 its wheel for Linux writes a device's number into the home folder and
looks up a host to report to, as soon as it is imported. `ORT_DISABLE_TELEMETRY` prevents both where
it is set before that import, and at no later time; `disable_telemetry_events` comes too late. It is
set while onnxruntime is imported here, unless the user has set it to something else, and then taken
back, so that a host program finds its environment as it was.

**No spinning.** Threads that wait sleep instead of spinning, which on two busy cores halved the
time of a query, as two pools otherwise spin against each other.

**No memory patterns.** onnxruntime would keep one block for each shape of batch it has seen, as
large as all that such a batch needs: 17 MB of 100 while documents of many lengths are indexed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glane.errors import CheckpointError
from glane.model.devices import Device, check_used, providers
from glane.model.preparation import Batch

if TYPE_CHECKING:
    from types import ModuleType

    from onnxruntime import InferenceSession

SWITCH = "ORT_DISABLE_TELEMETRY"

BESIDE = "session.model_external_initializers_file_folder_path"
"""Where weights lie that are not in a graph which is given as bytes."""

BESIDE_SINCE = (1, 21)
"""The first onnxruntime that asks for it."""

LOG = logging.getLogger("glane")

_importing = threading.Lock()


def onnxruntime() -> ModuleType:
    """Return the module, imported without its telemetry."""
    with _importing:
        given = os.environ.get(SWITCH)
        os.environ.setdefault(SWITCH, "1")
        try:
            import onnxruntime as module
        finally:
            if given is None:
                del os.environ[SWITCH]
    return module  # type: ignore[no-any-return]


def maps_weights() -> bool:
    """Return whether onnxruntime maps weights that a graph given as bytes says to lie in a file.

    Not on Windows, where a file that is mapped cannot be replaced.
    """
    version = onnxruntime().__version__.split(".")
    return os.name == "posix" and (int(version[0]), int(version[1])) >= BESIDE_SINCE


def load_session(
    path: Path, threads: int, source: str | bytes | None = None, device: Device = "cpu"
) -> InferenceSession:
    """Load an ONNX file.

    Args:
        path: The file.
        threads: Threads of one run, at least 1.
        source: The name of the open file, or its content, where it was opened already; what the
            content says to lie in another file is looked for beside `path`.
        device: What it runs on.

    Raises:
        CheckpointError: If the file is missing or is not a model that onnxruntime can run, or the
            device is not there.
    """
    module = onnxruntime()
    place = Path(str(module.__file__)).parents[1]
    chosen = providers(device, module.get_available_providers(), place)
    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # errors are raised; what is logged goes to standard error
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    if isinstance(source, bytes):
        options.add_session_config_entry(BESIDE, str(path.resolve().parent))
    began = time.perf_counter()
    try:
        session = module.InferenceSession(
            str(path) if source is None else source,
            options,
            providers=chosen,
            enable_fallback=0,
        )
    except _failures() as error:
        reason = _first_line(error)
        if isinstance(source, str):
            reason = reason.replace(source, path.name)
        raise CheckpointError(f"{str(path)!r} cannot be run by onnxruntime: {reason}") from None
    used = session.get_providers()
    check_used(device, used)
    LOG.debug("loaded %s on %s in %.2f s", path, used[0], time.perf_counter() - began)
    return session


def run(
    session: InferenceSession, batch: Batch, n_terms: int = 0, name: str = "the graph"
) -> list[Any]:
    """Return the graph's outputs for a batch.

    Args:
        session: From `load_session`.
        batch: Texts in one role.
        n_terms: Terms wanted of each text; 0 of a graph that does not ask for it.
        name: The model, for messages.

    Raises:
        CheckpointError: If the graph fails, as where a token has no place in its embedding, or has
            other inputs.
    """
    feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if n_terms:
        feed["n_terms"] = np.array([n_terms], np.int64)
    failures: tuple[type[Exception], ...] = (ValueError, *_failures())
    try:
        return [np.asarray(output) for output in session.run(None, feed)]
    except failures as error:
        raise CheckpointError(f"{name} failed while it ran: {_first_line(error)}") from None


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors that onnxruntime raises; their only common base is `Exception`."""
    from onnxruntime.capi import (
        onnxruntime_pybind11_state as state,  # pyright: ignore[reportAttributeAccessIssue] (C)
    )

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return tuple(kind for kind in kinds if issubclass(kind, Exception))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
