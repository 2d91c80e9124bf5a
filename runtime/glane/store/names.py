"""Strings and integers by number, and their numbers: a document's key, a vocabulary's term.

On disk a name is found in the sorted hashes and compared with its bytes: opening reads nothing,
and a million names are no dictionary in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from hashlib import blake2b
from typing import Self

import numpy as np
import numpy.typing as npt

from glane.ragged import join_lengths
from glane.store.segments import Arrays, Columns, Segment, Segments, join_ragged, join_rows, places
from glane.types import Ids

Name = str | int
Hashes = npt.NDArray[np.uint64]


class Names:
    """Names by number, never two of the same at once; `1` is not `"1"`.

    Attributes:
        rows: Where they are stored, with what else is kept beside each.
    """

    def __init__(self) -> None:
        """Make it empty."""
        self.rows = Segments(_join)

    def snapshot(self) -> Self:
        """Return the same, to be changed; the one leaves the other alone, and nothing is copied."""
        made = copy(self)
        made.rows = self.rows.snapshot()
        return made

    def __len__(self) -> int:
        """Return how many names are left."""
        return len(self.rows)

    def add(self, names: Sequence[Name], beside: Arrays | None = None) -> Ids:
        """Store names that are not stored yet, and return their numbers.

        Args:
            names: Each once.
            beside: Further arrays, one row for each name.
        """
        written = [_bytes(name) for name in names]
        hashes = _hashes(written)
        order = np.argsort(hashes, kind="stable")
        arrays: Arrays = {
            "offsets": join_lengths([len(name) for name in written]),
            "text": np.frombuffer(b"".join(written), np.uint8),
            "hashes": hashes[order],
            "order": order.astype(np.int32),
            **(beside or {}),
        }
        return self.rows.add(arrays, len(names))

    def find(self, names: Sequence[Name]) -> Ids:
        """Return the number of each name, -1 where it is not stored."""
        written = [_bytes(name) for name in names]
        hashes = _hashes(written)
        numbers = np.full(len(names), -1, np.int64)
        for part in self.rows.parts:
            low = np.searchsorted(part.arrays["hashes"], hashes)
            high = np.searchsorted(part.arrays["hashes"], hashes, side="right")
            for place in np.flatnonzero(high > low).tolist():
                for row in part.arrays["order"][low[place] : high[place]].tolist():
                    alive = part.alive is None or part.alive[row]
                    if alive and _row(part, row) == written[place]:
                        numbers[place] = part.ids[row]
        return numbers

    def names(self, numbers: Ids | Sequence[int]) -> list[Name]:
        """Return the names of stored numbers.

        Raises:
            ValueError: If a number is not stored.
        """
        return [_name(_row(part, row)) for part, row in places(self.rows.parts, numbers)]


def _bytes(name: Name) -> bytes:
    kind, text = ("i", str(name)) if isinstance(name, int) else ("s", name)
    return (kind + text).encode("utf-8", "surrogatepass")


def _name(written: bytes) -> Name:
    text = written.decode("utf-8", "surrogatepass")
    return int(text[1:]) if text[0] == "i" else text[1:]


def _row(part: Segment, row: int) -> bytes:
    offsets, text = part.arrays["offsets"], part.arrays["text"]
    return text[offsets[row] : offsets[row + 1]].tobytes()


def _hashes(written: Sequence[bytes]) -> Hashes:
    digests = b"".join([blake2b(name, digest_size=8).digest() for name in written])
    return np.frombuffer(digests, np.dtype("<u8")).astype(np.uint64)


def _join(parts: Sequence[Segment]) -> Columns:
    hashes = np.concatenate([_in_order(part)[part.kept] for part in parts])
    order = np.argsort(hashes, kind="stable")
    own = ("offsets", "text", "hashes", "order")
    return {
        **join_ragged(parts, "offsets", "text"),
        **{"hashes": hashes[order], "order": order.astype(np.int32)},
        **join_rows(parts, *(name for name in parts[0].arrays if name not in own)),
    }


def _in_order(part: Segment) -> Hashes:
    """Return the hash of each row."""
    hashes = np.empty(part.n_rows, np.uint64)
    hashes[part.whole("order")] = part.whole("hashes")
    return hashes
