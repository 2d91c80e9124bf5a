"""The documents themselves, kept for display where that is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glane.ragged import join_lengths
from glane.store.segments import Arrays, Segment, Segments, join_ragged, places
from glane.types import Ids


class Documents:
    """JSON objects by number.

    Attributes:
        rows: Where they are stored.
    """

    def __init__(self) -> None:
        """Make it empty."""
        self.rows = Segments(_join)

    def written(self, documents: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return documents as they are written.

        Raises:
            TypeError: If one holds what JSON has no form for.
            ValueError: If one holds a number that is not finite.
        """
        return [json.dumps(dict(document), allow_nan=False) for document in documents]

    def add(self, documents: Sequence[Mapping[str, Any]]) -> Ids:
        """Store documents and return their numbers.

        Raises:
            TypeError: If one holds what JSON has no form for.
        """
        written = [text.encode() for text in self.written(documents)]
        text = np.frombuffer(b"".join(written), np.uint8)
        offsets = join_lengths([len(document) for document in written])
        return self.rows.add({"offsets": offsets, "text": text}, len(written))

    def get(self, ids: Ids) -> list[dict[str, Any]]:
        """Return stored documents, in the order of the numbers.

        Raises:
            ValueError: If a number is not stored.
        """
        return [
            json.loads(part.arrays["text"][slice(*part.arrays["offsets"][row : row + 2])].tobytes())
            for part, row in places(self.rows.parts, ids)
        ]


def _join(parts: Sequence[Segment]) -> Arrays:
    return join_ragged(parts, "offsets", "text")
