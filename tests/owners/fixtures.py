"""Takes models and goldens into `tests/fixtures/owners`: `python -m tests.owners.fixtures OUT`.

They are of tiny random encoders, so that every run of the tests proves the reading against the
owners' own numbers, without the owners.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures" / "owners"

CHOSEN = (
    "pylate-three-layers",
    "pylate-skiplist-unknown",
    "pylate-default-prompt",
    "pylate-modernbert",
    "pylate-xlm-roberta",
    "st-vectors-expansion",
    "st-vectors-expansion-min",
    "st-vectors-skip-queries",
    "st-vectors-lower",
    "st-terms-sum-log1p",
    "st-terms-table",
    "stanford-attended",
    "stanford-distilbert",
    "cherche-vectors-short",
    "cherche-terms-short",
)

KEPT = ("name", "versions", "queries", "documents", "scores", "query_shapes", "document_shapes")


def main(out: str) -> None:
    """Copy what is chosen."""
    shutil.rmtree(FIXTURES, ignore_errors=True)
    for name in CHOSEN:
        place = FIXTURES / name
        left = shutil.ignore_patterns("README.md")
        shutil.copytree(Path(out) / "models" / name, place, ignore=left)
        golden = json.loads((Path(out) / "goldens" / f"{name}.json").read_text(encoding="utf-8"))
        kept = {key: golden[key] for key in KEPT}
        text = json.dumps(kept, ensure_ascii=False)
        (FIXTURES / f"{name}.golden.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
