"""The words of a filter: `year >= 2020 and lang in ("de", "en") and not tags = "draft"`.

    condition:  or of and of not
    not:        "not" not | "(" condition ")" | test
    test:       field comparison value | field ["not"] "in" "(" value, ... ")" | field "exists"
    comparison: = != < <= > >=
    value:      'text' or "text", a quote in it twice; a number; a date such as 2024-05-01

`and` binds more closely than `or`. A field whose name is no plain word is put in backquotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from glane.collection.conditions import (
    COMPARISONS,
    All,
    Compared,
    Condition,
    Either,
    Exists,
    Not,
    OneOf,
    check_depth,
    condition_of,
)

TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*')
    |(?P<date>\d{4}-\d{2}(?:-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?)?)
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<field>`[^`]+`)
    |(?P<word>[^\W\d][\w.]*)
    |(?P<sign>!=|<=|>=|[=<>(),])
    )""",
    re.VERBOSE,
)
WORDS = ("and", "or", "not", "in", "exists")


class Token(NamedTuple):
    """A piece of a filter: its kind, what it says, and the character that it begins with."""

    kind: str
    text: str
    place: int


def read_filter(given: str | Mapping[str, object]) -> Condition:
    """Return the condition of a filter, in words or as a JSON object.

    Raises:
        ValueError: If it is not of either form; of words, the message says at which character.
    """
    if not isinstance(given, str):
        return condition_of(given)
    return _Reader(given).whole()


class _Reader:
    """Reads a filter from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.next = 0
        self.depth = 0

    def whole(self) -> Condition:
        condition = self._either()
        if self._peek().kind != "end":
            raise self._wrong("`and`, `or` or the end")
        return condition

    def _either(self) -> Condition:
        return self._joined(self._both, "or", Either)

    def _both(self) -> Condition:
        return self._joined(self._not, "and", All)

    def _joined(
        self,
        part: Callable[[], Condition],
        word: str,
        kind: Callable[[tuple[Condition, ...]], Condition],
    ) -> Condition:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _not(self) -> Condition:
        self.depth += 1
        check_depth(self.depth)
        condition = self._negated()
        self.depth -= 1
        return condition

    def _negated(self) -> Condition:
        if self._takes("not"):
            return Not(self._not())
        if self._takes("("):
            condition = self._either()
            self._need(")")
            return condition
        return self._test()

    def _test(self) -> Condition:
        field = self._field()
        if self._takes("exists"):
            return Exists(field)
        if self._takes("not"):
            self._need("in")
            return Not(OneOf(field, self._values()))
        if self._takes("in"):
            return OneOf(field, self._values())
        sign = self._peek()
        if sign.kind != "sign" or sign.text not in COMPARISONS:
            raise self._wrong(f"one of {' '.join(COMPARISONS)}, `in`, `not in` or `exists`")
        self.next += 1
        return Compared(field, sign.text, self._value())

    def _field(self) -> str:
        token = self._peek()
        plain = token.kind == "word" and token.text not in WORDS
        if not plain and token.kind != "field":
            raise self._wrong("the name of a field")
        self.next += 1
        return token.text.strip("`")

    def _values(self) -> tuple[object, ...]:
        self._need("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._need(")")
        return tuple(values)

    def _value(self) -> object:
        token = self._peek()
        if token.kind not in ("text", "date", "number"):
            raise self._wrong("a value: text in quotes, a number or a date")
        self.next += 1
        if token.kind == "text":
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token.kind == "date":
            return token.text
        plain = token.text.lstrip("+-").isdigit()
        return int(token.text) if plain else float(token.text)

    def _takes(self, text: str) -> bool:
        token = self._peek()
        found = token.kind in ("word", "sign") and token.text == text
        self.next += found
        return found

    def _need(self, text: str) -> None:
        if not self._takes(text):
            raise self._wrong(f"`{text}`")

    def _peek(self) -> Token:
        return self.tokens[self.next]

    def _wrong(self, wanted: str) -> ValueError:
        token = self._peek()
        found = "the end" if token.kind == "end" else repr(token.text)
        return ValueError(
            f"the filter {self.text!r:.200} has {found} at character {token.place + 1}; expected "
            f"{wanted}"
        )


def _tokens(text: str) -> list[Token]:
    found, place = [], 0
    end = len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise ValueError(
                f"the filter {text!r:.200} cannot be read at character {start + 1}: "
                f"{text[start : start + 20]!r}; text needs quotes"
            )
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return [*found, Token("end", "", len(text))]
