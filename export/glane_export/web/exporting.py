"""From an index to a folder of static files; `docs/browser.md` says what is carried."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from glane.collection.fields import joined_fields
from glane.hits import Key
from glane.retrievers.fusion import UNSAID
from glane.search import Search
from glane.store.folders import check_new, new_folder
from glane.store.segments import ids_left
from glane.types import Ids
from glane_export.web.refusing import NotForBrowsers
from glane_export.web.runtime import write_runtime
from glane_export.web.stages import write_reranker, write_retriever

FORMAT = 1

PER_FILE = 64
"""Documents that are packed together: their text is fetched where one of them is shown."""

MOST_NUMBER = (1 << 53) - 1
"""The largest integer that JavaScript knows exactly."""

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """How files for a browser are written.

    Attributes:
        runtime: Folder of the npm package onnxruntime-web; None fetches it, where the index has a
            reranker.
        overwrite: Whether a folder that is there is replaced.
        threads: Threads to open the index with; None for all.
    """

    runtime: str | None = None
    overwrite: bool = False
    threads: int | None = None


def export_web(
    index: str | Path, folder: str | Path, settings: WebSettings = WebSettings()
) -> dict[str, Any]:
    """Write files that search an index in a browser, whole or not at all.

    Args:
        index: Folder of an index; it is read as it was committed last.
        folder: Where the files go.
        settings: See `WebSettings`.

    Returns:
        `documents`, `retriever`, `reranker` and `files`: bytes of each file by its name.

    Raises:
        FileExistsError: If the folder is there and may not be replaced.
        NotForBrowsers: If a part of the index cannot be carried; the message says which.
        ValueError: If the index cannot be opened.
    """
    check_new(folder, overwrite=settings.overwrite)
    search = Search.load(index, threads=settings.threads)
    with new_folder(folder, overwrite=settings.overwrite) as made:
        shutil.copytree(STATIC, made, dirs_exist_ok=True)
        numbers = ids_left(search.keys.rows.parts)
        _write_json(_keys(search, numbers), made / "ids.json")
        record: dict[str, Any] = {
            "format_version": FORMAT,
            "glane": version("glane"),
            "documents": {"n": len(numbers), "per_file": _write_documents(search, numbers, made)},
            "retriever": write_retriever(search.retriever, made),
            "reranker": write_reranker(search.reranker, made),
            "ranking": search.ranking(UNSAID)._asdict(),
        }
        if record["reranker"] is not None:
            write_runtime(made / "runtime", settings.runtime)
        _write_json(record, made / "search.json")
        files = {
            path.relative_to(made).as_posix(): path.stat().st_size
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
    told = {name: (record[name] or {}).get("kind") for name in ("retriever", "reranker")}
    return {"folder": str(folder), "documents": len(numbers), **told, "files": files}


def _keys(search: Search, numbers: Ids) -> list[Key]:
    keys = search.keys.names(numbers)
    large = next((key for key in keys if isinstance(key, int) and abs(key) > MOST_NUMBER), None)
    if large is not None:
        raise NotForBrowsers(
            f"the id {large} is larger than {MOST_NUMBER}, the largest number that a browser knows "
            "exactly; give ids as strings"
        )
    return keys


def _write_documents(search: Search, numbers: Ids, folder: Path) -> int:
    """Write the fields that are searched; return how many documents a file has, 0 without any."""
    if search.kept is None:
        return 0
    (folder / "documents").mkdir()
    for part, start in enumerate(range(0, len(numbers), PER_FILE)):
        documents = search.kept.get(numbers[start : start + PER_FILE])
        fields = [
            [(field.name, field.text) for field in joined_fields(document, search.on)]
            for document in documents
        ]
        packed = zlib.compress(json.dumps(fields, ensure_ascii=False).encode(), 9)
        (folder / "documents" / f"{part}.bin").write_bytes(packed)
    return PER_FILE


def _write_json(record: object, path: Path) -> None:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text, "utf-8")
