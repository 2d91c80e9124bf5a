"""Which queries are one query in several spellings, and which are held out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np

from glane.model.preparation import clean

DROPPED = frozenset({"Mn", "Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"})
"""Categories that a spelling is compared without: accents, invisible characters, white space."""


class _Kept(dict[int, int | None]):
    """What `str.translate` makes of a character: itself, or nothing; each is looked up once."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code)) in DROPPED else code
        return self[code]


KEPT = _Kept()

DROPPED_BYTES = bytes(code for code in range(128) if KEPT[code] is None)
"""Those of ASCII, which most queries of the largest files are."""

ENDS = ".,;:!?\u3002\u3001\u061f\u00bf\u00a1\"'`()[]-"
"""Punctuation that does not count at either end of a query: it seldom changes what is asked."""


def spelling(text: str) -> str:
    """Return what two spellings of one query have in common.

    Case, accents, width, white space, and punctuation at the ends do not count. An uncased model
    gives two texts the same token ids only if this is the same (but for unknown tokens and what
    is cut away, see `token_keys`).

    >>> spelling("What is Café?") == spelling(" what  is cafe")
    True
    """
    if text.isascii():
        kept = text.lower().encode().translate(None, DROPPED_BYTES).decode()
    else:
        plain = unicodedata.normalize("NFKD", clean(text)).translate(KEPT)
        kept = unicodedata.normalize("NFKD", plain.casefold()).translate(KEPT)
    return kept.strip(ENDS) or kept


def choose_held_out(anchors: Iterable[str], share: float, seed: int) -> set[str]:
    """Return the spellings of the queries to hold out.

    Args:
        anchors: Queries, in any order.
        share: Of the distinct spellings, in [0, 1); above 0 at least one is held out, where there
            are two.
        seed: Decides which.
    """
    groups: dict[str, str] = {}
    for anchor in anchors:
        key = spelling(anchor)
        groups[key] = min(anchor, groups.get(key, anchor))
    n_held_out = round(share * len(groups))
    if share and not n_held_out and len(groups) > 1:
        n_held_out = 1
    order = np.random.default_rng([seed, 0]).permutation(len(groups))
    keys = sorted(groups, key=groups.__getitem__)
    return {keys[i] for i in order[:n_held_out]}
