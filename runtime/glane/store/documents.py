"""The documents themselves, kept for display where that is asked for."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np

from glane.ragged import join_lengths
from glane.store.segments import Columns, Segment, Segments, join_ragged, places
from glane.types import Ids, Mask

LEVEL = 6
"""How hard zlib tries: an abstract of 1,500 characters takes half the room and 0.1 ms."""


class Documents:
    """JSON objects by number.

    Attributes:
        rows: Where they are stored.
    """

    def __init__(self) -> None:
        """Make it empty."""
        self.rows = Segments(_join)

    def snapshot(self) -> Self:
        """Return the same, to be changed; the one leaves the other alone, and nothing is copied."""
        made = copy(self)
        made.rows = self.rows.snapshot()
        return made

    def written(self, documents: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Return documents as they are written, as JSON.

        Raises:
            ValueError: If one would not come back as it is: it holds what JSON has no form for, a
                number that is not finite, a tuple, or a key that is not a string.
        """
        return [_written(place, dict(document)) for place, document in enumerate(documents)]

    def add(self, written: Sequence[bytes]) -> Ids:
        """Store documents, as `written` returned them, and return their numbers."""
        packed = [min(zlib.compress(document, LEVEL), document, key=len) for document in written]
        text = np.frombuffer(b"".join(packed), np.uint8)
        offsets = join_lengths([len(document) for document in packed])
        return self.rows.add({"offsets": offsets, "text": text}, len(written))

    def equal(self, ids: Ids, documents: Sequence[Mapping[str, Any]]) -> Mask:
        """Return which stored documents equal others, whatever the order of their fields."""
        stored = zip(self.get(ids), documents, strict=True)
        return np.array([found == dict(document) for found, document in stored], np.bool_)

    def get(self, ids: Ids) -> list[dict[str, Any]]:
        """Return stored documents, in the order of the numbers.

        Raises:
            ValueError: If a number is not stored.
        """
        return [
            _read(part.arrays["text"][slice(*part.arrays["offsets"][row : row + 2])].tobytes())
            for part, row in places(self.rows.parts, ids)
        ]


def _join(parts: Sequence[Segment]) -> Columns:
    return join_ragged(parts, "offsets", "text")


def _written(place: int, document: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(document, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the document at position {place} cannot be kept: {error}") from None
    back = json.loads(text)
    if back != document:
        fields = [name for name in document if back.get(name, _written) != document[name]]
        raise ValueError(
            f"the document at position {place} would come back changed, as JSON has only lists and "
            f"keys that are strings: see the fields {fields}"
        )
    return text.encode()


def _read(written: bytes) -> dict[str, Any]:
    """Return a document; what is packed begins with zlib's x, what is not with a brace."""
    try:
        plain = zlib.decompress(written) if written.startswith(b"x") else written
    except zlib.error as error:
        raise ValueError(f"a document cannot be unpacked: {error}") from None
    document: dict[str, Any] = json.loads(plain)
    return document


def _plain(value: Any) -> Any:  # noqa: ANN401 (what JSON has no form for)
    """Return a number of numpy's as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"JSON has no form for {type(value).__name__}: {value!r}")
