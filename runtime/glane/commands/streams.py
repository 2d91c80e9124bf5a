"""Standard output and standard error, whatever became of them and whatever they can encode."""

from __future__ import annotations

import codecs
import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what is not seen: controls, marks of direction, breaks of lines."""

JOINERS = "\u200c\u200d"
"""Are of category Cf, and part of how words in Persian, Hindi and emoji are written."""


@contextmanager
def streams() -> Iterator[None]:
    """Stand in for streams that are missing or closed; what is written there is lost.

    Their descriptors are taken as well: the next file that is opened would get them, and a library
    that writes to its standard error would write into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    out, err = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = out if _is_open(out) else nowhere
        sys.stderr = err if _is_open(err) else nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err


def write_line(stream: TextIO, text: str) -> None:
    """Write text and a line break; nobody needs to read it.

    Raises:
        OSError: If it cannot be written, but for a reader that is gone.
    """
    encoding = stream.encoding or "utf-8"
    with _written(stream):
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def flush(stream: TextIO) -> None:
    """Write what was printed already, as `write_line` does.

    Raises:
        OSError: If it cannot be written, but for a reader that is gone.
    """
    with _written(stream):
        stream.flush()


@contextmanager
def _written(stream: TextIO) -> Iterator[None]:
    """Drop what cannot be written, or Python would complain of it when it ends."""
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, stream.name) from None


def as_json(result: dict[str, object], stream: TextIO) -> str:
    """Return a result as one line of JSON, in ASCII unless the stream is UTF-8.

    JSON has no infinity, nor what is not a number; both become null.
    """
    is_utf8 = codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    return json.dumps(_finite(result), ensure_ascii=not is_utf8, allow_nan=False)


def takes_colour(stream: TextIO) -> bool:
    """Return whether text is painted: on a terminal, unless `NO_COLOR` is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible(text: object) -> str:
    r"""Return text on one line, with what is not seen in JSON's escapes.

    >>> visible("id\x1b[31m\n 1.0 forged")
    'id\\u001b[31m\\n 1.0 forged'
    """
    return "".join(
        json.dumps(each)[1:-1]
        if unicodedata.category(each) in ESCAPED and each not in JOINERS
        else each
        for each in str(text)
    )


def _is_open(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
