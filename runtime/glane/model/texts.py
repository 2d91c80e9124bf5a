"""Strings as they are given: checked, and made such that any encoding carries them."""

from __future__ import annotations

from collections.abc import Sequence


def clean(text: str) -> str:
    r"""Return the text with lone surrogates, which no encoding can carry, as U+FFFD.

    >>> clean("caf\u00e9 \ud83d")
    'café \ufffd'
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def check_texts(texts: Sequence[str], name: str) -> list[str]:
    """Return the texts as a list, refusing what is not a list of strings.

    Raises:
        TypeError: If one string is given where a list is due, or an element is no string.
    """
    if isinstance(texts, str):
        shown = texts if len(texts) <= 40 else texts[:40] + "..."
        raise TypeError(f"{name} must be a list of strings, got one string; pass [{shown!r}]")
    checked = list(texts)
    for position, text in enumerate(checked):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"{name} must be strings, got {kind} at position {position}")
    return checked
