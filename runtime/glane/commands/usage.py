"""Bad usage of the program: told in one line, in the words of the command line, with code 2."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from glane.errors import GlaneError


class UsageError(ValueError):
    """Options with wrong values, or that do not go together."""


@contextmanager
def as_usage(prefix: str = "") -> Iterator[None]:
    """Turn the `ValueError` of a wrong argument into a `UsageError`.

    Args:
        prefix: Put before the message: "--" makes of a setting's name that of its option.

    Raises:
        UsageError: If the block raises a `ValueError` that is not about a file or a model.
    """
    try:
        yield
    except GlaneError:
        raise
    except ValueError as error:
        raise UsageError(f"{prefix}{error}") from None


class Bounded(argparse.Action):
    """An option whose number lies between two bounds, both included."""

    def __init__(self, *args: Any, least: float, most: float = math.inf, **more: Any) -> None:  # noqa: ANN401
        """Take the bounds beside what `argparse` gives."""
        super().__init__(*args, **more)
        self.least = least
        self.most = most

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the number.

        Raises:
            UsageError: If it is out of bounds, or not a number.
        """
        assert isinstance(values, int | float), "its `type` has made a number of it"
        if not self.least <= values <= self.most:
            bounds = f"at least {self.least}"
            if self.most < math.inf:
                bounds = f"from {self.least} to {self.most}"
            raise UsageError(f"{self.option_strings[-1]} must be {bounds}, got {values}")
        setattr(namespace, self.dest, values)
