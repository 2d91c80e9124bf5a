"""Ctrl-C and SIGTERM between two steps instead of within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, with which Kubernetes, Docker and Slurm stop what they run.

    Attributes:
        exit_code: What a shell reports of a program that was stopped so.
    """

    exit_code = 143


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does, by raising `Terminated`.

    A handler that is there already stays. Outside the main thread, which gets no signals, this
    does nothing.
    """
    if not _is_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def deferred_interrupt() -> Iterator[list[int]]:
    """Let the block end before a Ctrl-C takes effect; a second one takes effect at once.

    Weights, moments and counters then always belong to the same step. So it is with SIGTERM where
    something handles it. Outside the main thread, which gets no signals, this does nothing.

    Yields:
        What takes the signals that have come.
    """
    came: list[int] = []
    with ExitStack() as stack:
        if _is_main_thread():
            for number in SIGNALS:
                stack.enter_context(_deferred(number, came))
        yield came


@contextmanager
def _deferred(number: signal.Signals, came: list[int]) -> Iterator[None]:
    """Call the handler of a signal after the block, if it has one."""
    before = signal.getsignal(number)
    if not callable(before):
        yield
        return
    asked: list[FrameType | None] = []

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(frame)
        came.append(number)
        if len(asked) > 1:
            before(number, frame)

    signal.signal(number, remember)
    try:
        yield
    finally:
        signal.signal(number, before)
    if asked:
        before(number, asked[0])


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
