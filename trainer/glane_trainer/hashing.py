"""What tells data apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def sha256_of(*parts: Iterable[object]) -> hashlib._Hash:
    """Return the sha256 of the rows of all parts, one after another, each as a line of JSON."""
    digest = hashlib.sha256()
    for rows in parts:
        for row in rows:
            digest.update(json.dumps(row).encode() + b"\n")
    return digest
