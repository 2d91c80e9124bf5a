"""Rankings as a file in TREC's format: one line a document, `query Q0 document rank score name`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glane.collection.dataset import Dataset
from glane.collection.ids import all_ids
from glane.evaluation.measures import Evaluation
from glane.search import Search
from glane.store import files
from glane.store.segments import new_name


def check_run(path: str | Path, dataset: Dataset, search: Search | None = None) -> None:
    """Refuse what could not be written, before anything is searched.

    Args:
        path: The file.
        dataset: Its queries and documents.
        search: The index, whose documents may be others.

    Raises:
        OSError: If the file can be no file, or its folder is missing.
        ValueError: If an id is empty, has white space, which the format separates by, or is not
            text that UTF-8 has.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"--run: {str(path)!r} is a folder, not a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--run: {str(path.parent)!r} is not a folder")
    for id in dataset.queries:
        _check_id("query", id)
    for document in dataset.corpus if search is None else all_ids(search.keys):
        _check_id("document", str(document))


def _check_id(name: str, id: str) -> None:
    if id.split() != [id]:
        raise ValueError(
            f"--run: the {name} id {id!r} is empty or has white space, which separates the columns "
            "of the file"
        )
    try:
        id.encode()
    except UnicodeEncodeError:
        raise ValueError(f"--run: the {name} id {id!r} cannot be written in UTF-8") from None


def write_run(path: str | Path, evaluation: Evaluation) -> dict[str, Any]:
    """Write the rankings, in the order in which they were measured.

    Readers of the format sort by score, as float32, and equal scores by falling id; ours go by
    rising number. A score that is not below the one before it is therefore written as the next
    float32 below that one.

    Returns:
        The file, and how many scores were lowered.
    """
    lines, n_lowered = [], 0
    for query, ids in evaluation.rankings.items():
        scores, lowered = falling(evaluation.scores[query])
        n_lowered += lowered
        lines += [
            f"{query} Q0 {id} {rank} {score!s} glane\n"
            for rank, (id, score) in enumerate(zip(ids, scores, strict=True), 1)
        ]
    write_file(Path(path), (line.encode() for line in lines))
    return {"file": str(path), "n_lowered": n_lowered}


def falling(scores: Iterable[float]) -> tuple[list[np.float32], int]:
    """Return scores that fall strictly, and how many were lowered for that.

    >>> falling([3.0, 2.0, 2.0, 1.0])
    ([np.float32(3.0), np.float32(2.0), np.float32(1.9999999), np.float32(1.0)], 1)
    """
    made: list[np.float32] = []
    n_lowered = 0
    for score in map(np.float32, scores):
        if made and score >= made[-1]:
            score = np.nextafter(made[-1], np.float32(-np.inf))
            n_lowered += 1
        made.append(score)
    return made, n_lowered


def write_file(path: Path, content: Iterator[bytes]) -> None:
    """Write a file that is there whole or not at all; a pipe or a device is written to."""
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines(content)
        return
    path = path.resolve()
    beside = path.with_name(f".{path.name[:200]}-{new_name()}")
    try:
        files.write(beside, content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
