"""Whether a base knows the language of the texts that it is to learn from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer

from glane.model.framing import plain_tokenizer
from glane.model.preparation import TextPreparer, clean

SAMPLE, LENGTH = 200, 2000
"""Texts that are looked at, and characters of each, at most."""

CRUMBS = 0.08
"""Share of a text's pieces that are crumbs from which on its language is not known. Of MiniLM's,
an English tokenizer, the median is .006 to .037 in seven English collections, .10 in German, .25
in Japanese, .61 in Chinese, .96 in Arabic."""

UNREAD = 0.25
"""Share of such texts from which on it is said: in English 0 to .12, of made-up names .20."""

SYLLABLES = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Characters that are syllables or words, and so no crumbs: Han, Kana and Hangul."""


def language_warning(texts: Sequence[str], preparer: TextPreparer) -> str:
    """Return a line where a tokenizer cuts many texts into crumbs, else nothing.

    Args:
        texts: Some of them are looked at.
        preparer: Of the base.
    """
    tokenizer = plain_tokenizer(preparer.tokenizer_json.encode())
    looked_at = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
    n_unread = sum(crumbs(text, tokenizer) > CRUMBS for text in looked_at)
    if n_unread <= UNREAD * len(looked_at):
        return ""
    return (
        f"{n_unread} of {len(looked_at)} documents that were looked at fall apart into single "
        "letters or unknown pieces: the base does not know their language; choose one that does"
    )


def crumbs(text: str, tokenizer: Tokenizer) -> float:
    """Return the share of a text's pieces that are unknown, or a single letter of a longer word."""
    text = clean(text)[:LENGTH]
    encoding = tokenizer.encode(text, add_special_tokens=False)
    unknown = {tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")}
    pieces = [text[start:end].strip() for start, end in encoding.offsets]
    n_pieces_of = Counter(
        word for word, piece in zip(encoding.word_ids, pieces, strict=True) if piece
    )
    n_crumbs = sum(
        id in unknown or (n_pieces_of[word] > 1 and _is_letter(piece))
        for id, word, piece in zip(encoding.ids, encoding.word_ids, pieces, strict=True)
    )
    return n_crumbs / max(1, len(pieces))


def _is_letter(piece: str) -> bool:
    return len(piece) == 1 and piece.isalpha() and not SYLLABLES.match(piece)
