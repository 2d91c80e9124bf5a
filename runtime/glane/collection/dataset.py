"""Documents, queries and judgements from files; what is wrong is named by file and line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glane.collection.fields import join_fields
from glane.collection.rows import Rows


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection with judgements, as BEIR lays it out.

    Attributes:
        corpus: Text of each document by id, in the order of the file: title, space, text.
        queries: Text of each query that the split judges, by id.
        judgements: Grade of each judged document by query id and document id; above 0 is relevant.
            A document that the corpus lacks may be judged: it is never found.
        titles: Title of each document that has the id of one of the queries, where it has one.
        n_unknown_documents: Documents that are judged and that the corpus lacks.
        n_unknown_queries: Queries that are judged and whose text is missing: they are left out.
    """

    corpus: dict[str, str]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    titles: dict[str, str] = field(default_factory=dict)
    n_unknown_documents: int = 0
    n_unknown_queries: int = 0

    def is_query(self, id: str) -> bool:
        """Return whether the document of this id is the query of this id, and no answer to it.

        It is where all its text, or all but the title, is the query, as in ArguAna.
        """
        text, query = self.corpus.get(id), self.queries[id]
        if text is None or self.judgements.get(id, {}).get(id, 0) > 0:
            return False
        return text == query or text == f"{self.titles.get(id, '')} {query}".strip()


def read_beir(folder: str | Path, split: str) -> Dataset:
    """Read `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.

    Judgements of ids that the other files lack are counted, as public collections have them. Those
    of unknown documents stay: as for trec_eval, the document is never found.

    Raises:
        FileNotFoundError: If a file is missing; a missing split names those that are there.
        ValueError: If a line is malformed, an id appears twice, or a judgement twice with another
            grade (the message holds the file and the line), or no query is judged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is no folder; expected a BEIR collection")
    judged = _judgements(folder, split)
    queries, _ = _texts(folder / "queries.jsonl")
    judgements = {id: grades for id, grades in judged.items() if id in queries}
    if not judgements:
        raise ValueError(f"{str(folder)!r}: split {split!r} judges none of the queries")
    corpus, titles = _texts(folder / "corpus.jsonl", titled=judgements)
    unknown = {id for grades in judgements.values() for id in grades if id not in corpus}
    return Dataset(
        corpus,
        {id: queries[id] for id in judgements},
        judgements,
        titles,
        n_unknown_documents=len(unknown),
        n_unknown_queries=len(judged) - len(judgements),
    )


def document_rows(path: str | Path, key: str, on: Sequence[str]) -> Rows:
    """Return the rows of a file of documents.

    A table without a header is read as MS MARCO has them: id and text, or id, url, title and text;
    its columns then have the names that are looked for.
    """
    text = "text" if on[-1] in (key, "url", "title") else on[-1]
    return Rows(path, (key, text), (key, "url", "title", text))


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what `Rows` yields: the name that it had when it read JSON lines alone."""
    return iter(Rows(path))


def _texts(path: Path, titled: Collection[str] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """Return each text by its id, and of those that are to be titled the titles alone."""
    texts: dict[str, str] = {}
    titles: dict[str, str] = {}
    for number, record in read_jsonl(path):
        id = record.get("_id")
        if not isinstance(id, str) or not isinstance(record.get("text"), str):
            raise ValueError(f"{str(path)!r}, line {number}: needs `_id` and `text` as strings")
        if id in texts:
            raise ValueError(f"{str(path)!r}, line {number}: `_id` {id!r} appears twice")
        try:
            texts[id] = join_fields(record, ("title", "text"))
        except ValueError as error:
            raise ValueError(f"{str(path)!r}, line {number}: {error}") from None
        if id in titled and (title := join_fields(record, ("title",))):
            titles[id] = title
    if not texts:
        raise ValueError(f"{str(path)!r} is empty; expected one JSON object a line")
    return texts, titles


def _judgements(folder: Path, split: str) -> dict[str, dict[str, int]]:
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.tsv"))
        raise FileNotFoundError(f"{str(folder)!r} has no split {split!r}; there are {there}")
    judgements: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        cells = line.split("\t")
        if number == 1 and cells[0] == "query-id":
            continue
        if len(cells) != 3 or not re.fullmatch(r"-?[0-9]+", cells[2]):
            raise ValueError(f"{str(path)!r}, line {number}: expected query-id, corpus-id, score")
        query, document, grade = cells[0], cells[1], int(cells[2])
        before = judgements.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise ValueError(
                f"{str(path)!r}, line {number}: query {query!r} and document {document!r} are "
                f"judged {grade}, and {before} in a line before"
            )
    if not judgements:
        raise ValueError(f"{str(path)!r} judges nothing; expected query-id, corpus-id, score")
    return judgements


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line that is not blank."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise ValueError(f"{str(path)!r}, line {number}: not UTF-8: {error}") from None
            if text:
                yield number, text
