"""How threads of OpenMP wait for one another: asleep, and not in a loop that keeps a core busy."""

from __future__ import annotations

import os
import sys

SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""The standard's variable, and that of GNU's library, which torch brings on Linux."""

OTHERS = ("KMP_BLOCKTIME",)
"""Further variables by which a user may have chosen."""


def wait_asleep() -> None:
    """Let torch's threads sleep while they wait, unless the user chose how they wait.

    On a machine where others compute as well, spinning takes three times the processor time. The
    libraries read this when they are loaded, so it is to be called before torch is imported, by a
    command and never by an import.
    """
    if "torch" in sys.modules or any(name in os.environ for name in (*SETTINGS, *OTHERS)):
        return
    os.environ.update(SETTINGS)
