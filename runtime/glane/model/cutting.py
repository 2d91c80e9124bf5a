"""Where a text can be cut before it is tokenized, without a change of the tokens before the cut.

A model reads the first tokens of a text and no more, but a tokenizer reads all of it: time and
memory would grow with what is thrown away. Most tokenizers split a text at white space before they
look for tokens, so that the tokens of a beginning that ends with a word are the first tokens of the
whole. Which characters split is known here for the usual parts of tokenizers; one with any other
part is given whole texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer

from glane.model.texts import clean

Rule = Callable[[dict[str, Any]], bool]

LOCAL: dict[str, Rule] = {
    **dict.fromkeys(
        ("BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled"),
        lambda part: True,
    ),
    **dict.fromkeys(("Strip", "StripAccents"), lambda part: True),
    "Replace": lambda part: _keeps_white_space(part),
}
"""Normalizers that do to a word what they do whatever comes after the white space behind it."""

SPLITS: dict[str, Rule] = {
    **dict.fromkeys(
        ("BertPreTokenizer", "Whitespace", "WhitespaceSplit"),
        lambda part: True,
    ),
    "ByteLevel": lambda part: bool(part.get("use_regex", True)),
    "Metaspace": lambda part: bool(part.get("split", True)),
}
"""Pre-tokenizers that split before a space, and look no further than it."""

BEFORE, AFTER = ("Digits", "Punctuation"), ("ByteLevel", "Digits", "Metaspace", "Punctuation")
"""Pre-tokenizers that leave the white space to the one after them, or split what it has left."""

MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")

IDEOGRAPHS = "\u4e00-\u9fff"
"""What BERT's normalizer puts spaces around."""

LOOKED_AT = 100
"""Characters of the last word before a cut that are looked at."""


class Cutter:
    """Cuts texts where the tokens before the cut stay the same."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Find out where the tokenizer's parts allow a cut.

        Args:
            tokenizer: Without truncation and padding.
        """
        self._normalizer = tokenizer.normalizer
        self._places = _places(tokenizer)

    def cut(self, text: str, n_characters: int) -> str:
        """Return a beginning of the text whose tokens are the first tokens of the whole.

        Args:
            text: Any string.
            n_characters: What the beginning has at least; it goes on to the next place for a cut,
                or is the whole text where there is none.
        """
        if self._places is None or len(text) <= n_characters:
            return text
        for place in self._places.finditer(text, n_characters):
            end = place.start()
            if self._ends_with_a_word(text[max(0, end - LOOKED_AT) : end], text[end]):
                return text[:end]
        return text

    def _ends_with_a_word(self, before: str, after: str) -> bool:
        """Return whether normalization leaves the end of a word, and then what parts it.

        A word of nothing but characters that are removed makes one of the white space around it,
        and a normalizer may take a space for a part of the character before.
        """
        word = clean((before.split() or [""])[-1])
        if not word or "\ufffd" in word:  # which a cut between two surrogates makes
            return False
        if self._normalizer is None:
            return True
        kept = self._normalizer.normalize_str(word)
        followed = self._normalizer.normalize_str(f"{word}{after}x")
        parted = followed[len(kept) : len(kept) + 1]
        return bool(kept) and followed.startswith(kept) and _parts_words(parted, kept[-1])


def _parts_words(character: str, last: str) -> bool:
    return (character.isspace() or character == "▁") and not (last.isspace() or last == "▁")


def _places(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """Return what is matched at a cut, or None where no place is known."""
    normalizers = _parts(tokenizer.normalizer, "normalizers")
    splitters = _parts(tokenizer.pre_tokenizer, "pretokenizers")
    tokens = list(tokenizer.get_added_tokens_decoder().values())
    # found before anything is split; one of spaces alone begins with or after the cut
    added = "".join(token.content for token in tokens if token.content.strip())
    local = all(LOCAL.get(part["type"], _never)(part) for part in normalizers)
    if not (local and _split_at_spaces(splitters) and _is_settled(tokenizer)):
        return None
    if re.search(r"[\s▁]", added):
        return None
    lines = "" if splitters[0]["type"] == "Metaspace" else "\\t\\n"
    places = rf"(?<=\S)[ {lines}]"
    known = [part["type"] for part in (*normalizers, *splitters)]
    if known == ["BertNormalizer", "BertPreTokenizer"] and normalizers[0]["handle_chinese_chars"]:
        whole = any(token.single_word for token in tokens)
        if not whole and not re.search(f"[{IDEOGRAPHS}]", added):
            places += rf"|(?<=\S)(?=[{IDEOGRAPHS}])"
    return re.compile(places)


def _split_at_spaces(splitters: list[dict[str, Any]]) -> bool:
    """Return whether the first pre-tokenizer that is not harmless splits before each space."""
    kinds = [part["type"] for part in splitters]
    first = next((at for at, kind in enumerate(kinds) if kind not in BEFORE), len(kinds))
    splits = [SPLITS.get(part["type"], _never)(part) for part in splitters[first : first + 1]]
    rest = kinds[first + 1 :]
    return splits == [True] and all(kind in SPLITS or kind in AFTER for kind in rest)


def _parts(part: Any, members: str) -> list[dict[str, Any]]:  # noqa: ANN401 (no common type)
    """Return a normalizer or pre-tokenizer as the file has it, a sequence taken apart."""
    return [] if part is None else _flat(json.loads(part.__getstate__()), members)


def _flat(record: dict[str, Any], members: str) -> list[dict[str, Any]]:
    if record["type"] != "Sequence":
        return [record]
    return [part for member in record[members] for part in _flat(member, members)]


def _is_settled(tokenizer: Tokenizer) -> bool:
    """Return whether the model gives a word the same tokens whatever stands beside it."""
    model = tokenizer.model
    return type(model).__name__ in MODELS and not getattr(model, "dropout", None)


def _never(part: dict[str, Any]) -> bool:
    return False


def _keeps_white_space(part: dict[str, Any]) -> bool:
    """Return whether a replacement leaves white space, or makes one space of several."""
    searched = part["pattern"].get("String")
    if searched is None:
        return part["pattern"] == {"Regex": " {2,}"} and part["content"] in (" ", "▁")
    return not re.search(r"\s", searched)
