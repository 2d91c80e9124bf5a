"""Opens a folder with its owner: `python -m tests.owners.reading OWNER FOLDER GOLDEN`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.owners import pylate_models, st_terms, st_vectors
from tests.owners.record import Golden

OWNERS: dict[str, Callable[[Path], Golden]] = {
    "pylate": pylate_models.opened,
    "st-vectors": st_vectors.open_vectors,
    "st-terms": st_terms.open_terms,
}


def main(owner: str, folder: str, golden: str) -> None:
    """Write what an owner says of a folder into a JSON file."""
    Path(golden).write_text(json.dumps(OWNERS[owner](Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
