"""From bytes to text and lines, a block at a time; a byte that is no text is named by its line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

BLOCK = 1 << 18
"""Bytes read at once."""

HEAD = 1 << 16
"""Characters that a layout is recognised by."""

LONGEST = 1 << 26
"""Characters of one record at most; what is longer is a file whose records do not end."""

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks and their encodings; that of UTF-16 is the beginning of one of UTF-32."""


def decoded(file: BinaryIO, name: str) -> Iterator[str]:
    """Yield the text of a file in blocks, without its byte order mark.

    It is UTF-8 where no mark says otherwise. Lines that end with a carriage return alone, as on
    old Macs, are given line feeds.

    Raises:
        ValueError: If it is not text in that encoding; the message names the line.
    """
    first = file.read(BLOCK)
    mark = next((mark for mark in MARKS if first.startswith(mark)), b"")
    encoding = MARKS.get(mark, "utf-8")
    if not mark and b"\0" in first[:HEAD]:
        raise ValueError(f"{name} has NUL bytes: it is not text, or UTF-16 without its mark")
    decoder = codecs.getincrementaldecoder(encoding)()
    returns, line = None, 1
    for data in chain([first[len(mark) :]], iter(lambda: file.read(BLOCK), b""), [b""]):
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise ValueError(f"{name}, line {line}: {not_text(error)}") from None
        if returns is None and text:
            returns = "\r" in text[:-1] and "\n" not in text
        if returns:
            text = text.replace("\r", "\n")
        line += text.count("\n")
        yield text


def ahead(texts: Iterator[str], *, whole_line: bool = False) -> tuple[str, Iterator[str], bool]:
    """Return the beginning of a text, all of it anew, and whether the beginning is all.

    Args:
        texts: The text.
        whole_line: Whether it must hold the first line that is not blank.
    """
    taken: list[str] = []
    n_taken, is_blank, has_line = 0, True, not whole_line
    for text in texts:
        taken.append(text)
        n_taken += len(text)
        has_line = has_line or "\n" in (text.lstrip() if is_blank else text)
        is_blank = is_blank and not text.strip()
        if (n_taken >= HEAD and not is_blank and has_line) or n_taken > LONGEST:
            head = "".join(taken)
            return head, chain([head], texts), False
    head = "".join(taken)
    return head, iter([head]), True


def lines(texts: Iterator[str], name: str) -> Iterator[str]:
    r"""Yield lines with their line feeds; nothing else ends a line.

    Raises:
        ValueError: If a line does not end for `LONGEST` characters.

    >>> list(lines(iter(["a", "b\nc", "\n\nd"]), "'x'"))
    ['ab\n', 'c\n', '\n', 'd']
    """
    rest: list[str] = []
    number, n_rest = 1, 0
    for text in texts:
        first, *others = text.split("\n")
        rest.append(first)
        n_rest += len(first)
        if n_rest > LONGEST:
            raise ValueError(f"{name}, line {number}: does not end for {LONGEST} characters")
        if others:
            number += len(others)
            *whole, last = others
            yield "".join(rest) + "\n"
            for line in whole:
                yield line + "\n"
            rest, n_rest = [last], len(last)
    if n_rest:
        yield "".join(rest)


def not_text(error: UnicodeDecodeError) -> str:
    """Return what is wrong with a byte, and what to do."""
    byte = error.object[error.start]
    if error.encoding != "utf-8":
        return f"not {error.encoding.upper()}: {error.reason}"
    return (
        f"not UTF-8: byte 0x{byte:02x}: {error.reason}; in Excel save as CSV UTF-8, else "
        "`iconv -f WINDOWS-1252 -t UTF-8 FILE`"
    )
