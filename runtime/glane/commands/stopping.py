"""How the program ends at Ctrl-C while it is still importing its modules."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

STOPPED = 130
"""Code after Ctrl-C: 128 and the number of the signal."""


def leave_at_interrupt() -> None:
    """Let Ctrl-C end the process at once: nothing is there yet that would have to be cleaned up.

    An exception would not do: many a module written in C turns it into another on its way.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_at_interrupt() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, where `leave_at_interrupt` was called."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def tell_stopped() -> None:
    """Say that it was stopped."""
    with suppress(OSError):  # nobody may be there to be told
        os.write(2, b"glane: stopped\n")


def _leave(*_: object) -> None:
    tell_stopped()
    os._exit(STOPPED)
