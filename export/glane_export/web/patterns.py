r"""Python's regular expressions as JavaScript's, with every class of characters written out.

What is a letter, a digit or white space depends on the version of Unicode, and a browser's is not
Python's. So each class becomes the ranges of code points that Python finds in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from glane.types import Mask

_parser: Any = import_module("re._parser")  # the one reading of patterns that `re` itself goes by

CODES = 0x110000

SURROGATES = slice(0xD800, 0xE000)
"""Code points that no text holds which was made whole."""

CATEGORIES = {
    **{"CATEGORY_WORD": r"\w", "CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s"},
    **{"CATEGORY_NOT_WORD": r"\W", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_NOT_SPACE": r"\S"},
}

ANCHORS = {
    "AT_BEGINNING": "^",
    "AT_END": r"(?=\n?$)",
    "AT_BOUNDARY": r"(?:(?<=\w)(?=\W|$)|(?<=\W|^)(?=\w))",
}
"""Anchors; the classes in them are Python's once more."""


class Patterns:
    """Patterns for JavaScript, and the classes of characters that they share.

    Attributes:
        classes: Each class once, as in `[a-z]`; a pattern refers to the first as `<0>`.
    """

    def __init__(self) -> None:
        """Begin with no class."""
        self.classes: list[str] = []
        self._known: dict[str, int] = {}

    def pattern(self, pattern: str | re.Pattern[str]) -> str:
        r"""Return a pattern of Python with the same matches, for the flags `u` and `g`.

        Args:
            pattern: For strings, without flags.

        Raises:
            ValueError: If it has a flag, or a part that is not known here.

        >>> patterns = Patterns()
        >>> patterns.pattern(r"(?<=a)[0-2x]+|\u00df?"), patterns.classes
        ('(?:(?<=\\u{61})<0>{1,}|\\u{df}{0,1})', ['[\\u{30}-\\u{32}\\u{78}]'])
        """
        compiled = re.compile(pattern)
        if compiled.flags != re.UNICODE:
            raise ValueError(f"the pattern {compiled.pattern!r} has flags: {compiled.flags}")
        return self._sequence(_parser.parse(compiled.pattern))

    def of(self, mask: Mask) -> str:
        """Return a reference to a class of characters.

        Args:
            mask: Shape (0x110000,), true where a code point is in it.
        """
        written = f"[{''.join(map(_range, ranges(mask)))}]"
        number = self._known.setdefault(written, len(self.classes))
        if number == len(self.classes):
            self.classes.append(written)
        return f"<{number}>"

    def _sequence(self, parts: Any) -> str:  # noqa: ANN401 (of a private module)
        return "".join(self._part(str(kind), given) for kind, given in parts)

    def _part(self, kind: str, given: Any) -> str:  # noqa: ANN401
        write: Callable[[Any], str] | None = getattr(self, f"_{kind.lower()}", None)
        if write is None:
            raise ValueError(f"a pattern has {kind}, which is not written for JavaScript here")
        return write(given)

    def _literal(self, code: int) -> str:
        return _code(code)

    def _not_literal(self, code: int) -> str:
        return self.of(_others(_codes("LITERAL", code)))

    def _any(self, _given: None) -> str:
        return self._not_literal(ord("\n"))

    def _in(self, given: Any) -> str:  # noqa: ANN401
        negated = str(given[0][0]) == "NEGATE"
        mask = np.zeros(CODES, np.bool_)
        for kind, value in given[negated:]:
            mask |= _codes(str(kind), value)
        return self.of(_others(mask) if negated else mask)

    def _branch(self, given: Any) -> str:  # noqa: ANN401
        return f"(?:{'|'.join(map(self._sequence, given[1]))})"

    def _subpattern(self, given: Any) -> str:  # noqa: ANN401
        return f"(?:{self._sequence(given[3])})"

    def _max_repeat(self, given: Any) -> str:  # noqa: ANN401
        least, most, inner = given
        upper = "" if str(most) == "MAXREPEAT" else most
        written = self._sequence(inner)
        whole = written if len(inner) == 1 else f"(?:{written})"
        return f"{whole}{{{least},{upper}}}"

    def _assert(self, given: Any) -> str:  # noqa: ANN401
        direction, inner = given
        return f"(?{'=' if direction > 0 else '<='}{self._sequence(inner)})"

    def _assert_not(self, given: Any) -> str:  # noqa: ANN401
        direction, inner = given
        return f"(?{'!' if direction > 0 else '<!'}{self._sequence(inner)})"

    def _at(self, anchor: object) -> str:
        if str(anchor) not in ANCHORS:
            raise ValueError(f"a pattern has {anchor}, which is not written for JavaScript here")
        written = ANCHORS[str(anchor)]
        for category in (r"\w", r"\W"):
            if category in written:
                written = written.replace(category, self.of(matching(category)))
        return written


def _codes(kind: str, value: Any) -> Mask:  # noqa: ANN401
    if kind == "CATEGORY":
        return matching(CATEGORIES[str(value)])
    mask = np.zeros(CODES, np.bool_)
    first, last = value if kind == "RANGE" else (value, value)
    mask[first : last + 1] = True
    return mask


def _others(mask: Mask) -> Mask:
    others = ~mask
    others[SURROGATES] = False
    return others


@cache
def matching(pattern: str) -> Mask:
    r"""Return by code point which characters a class of one character matches.

    >>> [chr(code) for code in np.flatnonzero(matching(r"[\u0663-\u0664]"))]
    ['٣', '٤']
    """
    found = "".join(re.findall(pattern, _all()))
    mask = np.zeros(CODES, np.bool_)
    mask[np.frombuffer(found.encode("utf-32-le"), np.uint32)] = True
    return mask


@cache
def _all() -> str:
    return "".join(map(chr, np.flatnonzero(_others(np.zeros(CODES, np.bool_))).tolist()))


def where(holds: Callable[[str], object]) -> Mask:
    """Return by code point for which characters a function is true."""
    mask = np.zeros(CODES, np.bool_)
    mask[[ord(one) for one in _all() if holds(one)]] = True
    return mask


def ranges(mask: Mask) -> list[tuple[int, int]]:
    """Return what is true as first and last of each run.

    >>> ranges(np.bool_([0, 1, 1, 0, 1]))
    [(1, 2), (4, 4)]
    """
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    firsts, ends = edges[::2].tolist(), edges[1::2].tolist()
    return [(first, end - 1) for first, end in zip(firsts, ends, strict=True)]


def _range(pair: tuple[int, int]) -> str:
    first, last = pair
    return _code(first) if first == last else f"{_code(first)}-{_code(last)}"


def _code(code: int) -> str:
    return f"\\u{{{code:x}}}"
