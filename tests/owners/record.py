"""What a golden is: an owner's scores of the texts, and how many rows, which tokens gave them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.owners.texts import DOCUMENTS, QUERIES

LIBRARIES = (
    "pylate",
    "sentence-transformers",
    "neural-cherche",
    "transformers",
    "tokenizers",
    "torch",
    "numpy",
)

Make = Callable[[Path], "Golden"]
"""Makes a model in a folder that is not there yet, and returns what its owner says of it."""


class Golden(dict[str, Any]):
    """`scores`, queries by documents; `query_shapes`, `document_shapes`, what else is known."""


def of_vectors(queries: Sequence[Any], documents: Sequence[Any], **more: Any) -> Golden:
    """Return the MaxSim of token vectors, each (n tokens, dim)."""
    scores = [[maxsim(query, document) for document in documents] for query in queries]
    return _golden(scores, queries, documents, more)


def of_terms(queries: Any, documents: Any, **more: Any) -> Golden:
    """Return the products of rows over the vocabulary, (n texts, n terms)."""
    queries, documents = np.asarray(queries), np.asarray(documents)
    counted = [[row[row != 0] for row in rows] for rows in (queries, documents)]
    return _golden(queries @ documents.T, counted[0], counted[1], more)


def _golden(scores: Any, queries: Any, documents: Any, more: dict[str, Any]) -> Golden:
    return Golden(
        scores=np.asarray(scores, np.float64).round(6).tolist(),
        query_shapes=[list(np.shape(row)) for row in queries],
        document_shapes=[list(np.shape(row)) for row in documents],
        **more,
    )


def maxsim(query: npt.ArrayLike, document: npt.ArrayLike) -> float:
    """Return the sum over the query's rows of the best product with a row of the document."""
    query, document = np.asarray(query, np.float32), np.asarray(document, np.float32)
    return float((query @ document.T).max(1).sum()) if len(query) and len(document) else 0.0


def base(kind: str) -> str:
    """Return a kind of encoder's folder: one of `tiny`, or what `GLANE_OWNERS_<KIND>` names."""
    name = f"GLANE_OWNERS_{kind.upper().replace('-', '_')}"
    return os.environ.get(name) or str(Path(os.environ["GLANE_OWNERS_TINY"]) / kind)


def make_all(makes: dict[str, Make], out: str, *names: str) -> None:
    """Make the models under OUT/models, and their goldens under OUT/goldens."""
    for name in names or makes:
        folder = Path(out) / "models" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        record = {"name": name, "versions": _versions(), "files": []}
        record |= makes[name](folder)
        record["files"] = sorted(_inside(folder))
        record["configs"] = _configs(folder)
        record |= {"queries": QUERIES, "documents": DOCUMENTS}
        goldens = Path(out) / "goldens"
        goldens.mkdir(exist_ok=True)
        text = json.dumps(record, ensure_ascii=False, indent=1)
        (goldens / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        sys.stderr.write(f"{name}: {np.asarray(record['scores']).round(2)[0].tolist()}\n")


def edit(path: Path, /, **changes: Any) -> None:
    """Change keys of a JSON file; the value `...` takes a key out."""
    known = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        known.pop(name, None)
        if value is not ...:
            known[name] = value
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _inside(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _configs(folder: Path) -> dict[str, Any]:
    large = ("tokenizer.json", "vocab.json")
    return {
        str(path.relative_to(folder)): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".metadata") and path.name not in large
    }
