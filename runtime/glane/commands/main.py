"""The entry of the program `glane`; all else is imported inside, so that Ctrl-C ends that too."""

from __future__ import annotations

import sys

from glane.commands.stopping import STOPPED, leave_at_interrupt, tell_stopped

TYPE_CHECKING = False
if TYPE_CHECKING:  # not from `typing`, which takes longer to load than all of this
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Its words; those that the program was called with, if none are given.

    Returns:
        0 when done, 1 after an error and 2 after bad usage, both told in one line, 130 after
        Ctrl-C.

    Raises:
        SystemExit: If `argparse` refuses the call, with code 2, or help is asked for, with 0.
    """
    try:
        if argv is None:
            leave_at_interrupt()
        from glane.commands.program import run

        return run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        tell_stopped()
        return STOPPED


def __getattr__(name: str) -> object:
    """Give `parse`, which stood here before, from where it is."""
    if name == "parse":
        from glane.commands.program import parse

        return parse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
