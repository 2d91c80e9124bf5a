"""JSON: one object a line, or an array of objects, of which one is in memory at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from glane.collection.decoding import BLOCK, LONGEST, lines
from glane.collection.messages import Place

Record = dict[str, Any]

Array = Callable[[list[Any]], Record]
"""Makes a record of a JSON array, or raises a `ValueError` that names no place."""

SPACE = re.compile(r"[ \t\n\r]*")

TAIL = 16
"""An error so near to the end of what was read may be of a value that is not whole yet."""

DECODER = json.JSONDecoder()


def read_lines(
    texts: Iterator[str], name: str, place: Place, array: Array | None = None
) -> Iterator[tuple[int, Record]]:
    """Yield the number and the object of each line that is not blank.

    Args:
        texts: The text.
        name: How messages call the file.
        place: How they call a line.
        array: Makes a record of a line that is an array; None refuses it.

    Raises:
        ValueError: If a line is not a JSON object.
    """
    for number, line in enumerate(lines(texts, name), 1):
        if text := line.strip():
            try:
                record = record_of(text, array)
            except ValueError as error:
                raise ValueError(f"{place(number)}: {error}") from None
            yield number, record


def read_array(
    texts: Iterator[str], place: Place, array: Array | None = None
) -> Iterator[tuple[int, Record]]:
    """Yield the line and the object of each element of an array.

    Args:
        texts: The text.
        place: How messages call a line.
        array: Makes a record of an element that is an array; None refuses it.

    Raises:
        ValueError: If it is not JSON, an element is not an object, or something follows the array.
    """
    scanner = _Scanner(texts, place)
    scanner.skip("[")
    if scanner.peek() == "]":
        scanner.skip("]")
    else:
        yield from _elements(scanner, place, array)
    if scanner.peek():
        raise ValueError(f"{place(scanner.line)}: not JSON: something follows the array")


def record_of(text: str, array: Array | None = None) -> Record:
    """Return the object that a line is.

    Args:
        text: Without white space around it, and not empty.
        array: Makes a record of an array; None refuses it.

    Raises:
        ValueError: If it is not JSON, or no object; the message names no place.
    """
    try:
        value, end = DECODER.raw_decode(text)
        if end < len(text):
            value = json.loads(text)
    except json.JSONDecodeError as error:
        hint = ""
        if text[0] == "{" and error.pos >= len(text):
            hint = "; each object must be on one line (`jq -c . FILE`), or in an array"
        raise ValueError(f"not JSON: {error}{hint}") from None
    except RecursionError as error:
        raise ValueError(f"not JSON: {error}") from None
    return value if type(value) is dict else _made(value, array)


def _elements(scanner: _Scanner, place: Place, array: Array | None) -> Iterator[tuple[int, Record]]:
    while True:
        scanner.peek()
        number = scanner.line
        value = scanner.element()
        try:
            record = _made(value, array)
        except ValueError as error:
            raise ValueError(f"{place(number)}: {error}") from None
        yield number, record
        if scanner.peek() == "]":
            return scanner.skip("]")
        scanner.skip(",")


class _Scanner:
    """Takes values from text that is read as it goes.

    Attributes:
        line: Where it is, from 1.
    """

    def __init__(self, texts: Iterator[str], place: Place) -> None:
        self.line = 1
        self._texts = texts
        self._place = place
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Go to the next character that is not white space, and return it; "" at the end."""
        while True:
            space = SPACE.match(self._text, self._at)
            assert space is not None, "it matches nothing, too"
            self._go(space.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            got = f"got {found!r}" if found else "but the file ends"
            raise ValueError(
                f"{self._place(self.line)}: not JSON: expected a comma or the end of the array, "
                f"{got}"
            )
        self._go(self._at + 1)

    def element(self) -> Any:  # noqa: ANN401 (parsed JSON)
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                told = self._told(error)
                if not self._is_open(error) or not self._more():
                    raise ValueError(told) from None
            else:
                # A number may go on in what is not read yet.
                if end < len(self._text) or not self._more():
                    self._go(end)
                    return value

    def _is_open(self, error: Exception) -> bool:
        """Return whether an error may be that a value is not read to its end."""
        if not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated") or error.pos > len(self._text) - TAIL

    def _told(self, error: Exception) -> str:
        if not isinstance(error, json.JSONDecodeError):
            return f"{self._place(self.line)}: not JSON: {error}"
        line = self.line + self._text.count("\n", self._at, error.pos)
        end = " where the file ends" if error.pos >= len(self._text) else ""
        return f"{self._place(line)}: not JSON: {error.msg}{end}"

    def _go(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _more(self) -> bool:
        """Read at least as much again as is not yet taken: a long value is tried a few times."""
        pieces = [self._text[self._at :]]
        if len(pieces[0]) > LONGEST:
            raise ValueError(f"{self._place(self.line)}: no value ends within {LONGEST} characters")
        wanted = max(BLOCK, len(pieces[0]))
        n_read = 0
        for text in self._texts:
            pieces.append(text)
            n_read += len(text)
            if n_read >= wanted:
                break
        self._text, self._at = "".join(pieces), 0
        return n_read > 0


def _made(value: Any, array: Array | None) -> Record:  # noqa: ANN401 (parsed JSON)
    """Return an object as it is, and an array as a record where that can be made."""
    if array is not None and isinstance(value, list):
        return array(value)
    if not isinstance(value, dict):
        raise ValueError(f"must be an object, got {type(value).__name__}")
    return value
