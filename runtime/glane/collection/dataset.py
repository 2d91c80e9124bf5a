"""A collection with judgements from files; what is wrong is named by file and line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glane.collection.fields import has_field, join_fields, look_up
from glane.collection.folder import DocumentRows, open_rows
from glane.collection.judgements import read_judgements
from glane.collection.layouts import SUFFIXES, suffix_of
from glane.collection.messages import listed
from glane.collection.records import as_key, present
from glane.collection.rows import Rows
from glane.errors import option


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection with judgements; ids are text, by the rule of `glane.collection.ids`.

    Attributes:
        corpus: Text of each document by id, in the order of the file; empty where it was not read.
        queries: Text of each query that the split judges, by id.
        judgements: Grade of each judged document by query id and document id; above 0 is relevant.
            A document that the corpus lacks may be judged: it is never found.
        titles: Title of each document that has the id of one of the queries, where it has one.
        n_unknown_documents: Documents that are judged and that the corpus lacks.
        n_unknown_queries: Queries that are judged and whose text is missing: they are left out.
        n_contradicting: Judgements that contradict one before of the same query and document, and
            take its place.
    """

    corpus: dict[str, str]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    titles: dict[str, str] = field(default_factory=dict)
    n_unknown_documents: int = 0
    n_unknown_queries: int = 0
    n_contradicting: int = 0

    def is_query(self, id: str) -> bool:
        """Return whether the document of this id is the query of this id, and no answer to it.

        It is where all its text, or all but the title, is the query, as in ArguAna.
        """
        text, query = self.corpus.get(id), self.queries[id]
        if text is None or self.judgements.get(id, {}).get(id, 0) > 0:
            return False
        return text == query or text == f"{self.titles.get(id, '')} {query}".strip()


FIELDS = ("title", "text")
"""What is read of documents where nothing else is said; one of them may be missing."""

QUERY_IDS = ("_id", "id", "query_id", "query-id", "qid")
QUERY_TEXTS = ("text", "query", "question")
"""Fields of queries: the first that a file has is read, and `title` before `text`."""


def read_beir(
    folder: str | Path, split: str, key: str = "_id", on: Sequence[str] = FIELDS
) -> Dataset:
    """Read a folder as BEIR has it: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.

    Each may be in another layout that `Rows` reads, such as `corpus.parquet` or `queries.csv.gz`;
    the judgements in one that `read_judgements` reads.

    Args:
        folder: The folder.
        split: Name of the file of judgements, without its ending.
        key: Field of a document's id, a nested one by dots.
        on: Fields of a document's text; one that is missing or empty adds nothing.

    Raises:
        FileNotFoundError: If a file is missing; a missing split names those that are there.
        ValueError: If a line is malformed, an id appears twice (the message holds the file and the
            line), no document has any of the fields, or no query is judged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not a folder; expected a BEIR collection")
    qrels = _split(folder, split)
    return read_collection(_part(folder, "queries"), qrels, _part(folder, "corpus"), key, on)


def read_collection(
    queries: str | Path | None,
    qrels: str | Path,
    documents: str | Path | None = None,
    key: str = "_id",
    on: Sequence[str] = FIELDS,
) -> Dataset:
    """Read a collection from its files.

    Judgements of ids that the other files lack are counted, as public collections have them. Those
    of unknown documents stay: as for trec_eval, the document is never found.

    Args:
        queries: In a layout that `Rows` reads, with one of `QUERY_IDS` and of `QUERY_TEXTS`, or as
            MS MARCO has them, id and text without a header; None reads no text, and takes every
            query that is judged.
        qrels: In a layout that `read_judgements` reads.
        documents: In a layout that `document_rows` reads; None reads none.
        key: Field of a document's id, a nested one by dots.
        on: Fields of a document's text; one that is missing or empty adds nothing.

    Raises:
        OSError: If a file is missing, a folder, or not readable.
        ValueError: As `read_beir`.
    """
    judged, n_contradicting = read_judgements(qrels)
    texts = dict.fromkeys(judged, "")
    if queries is not None:
        texts = _queries(Rows(queries, ("_id", "text")))
    judgements = {id: grades for id, grades in judged.items() if id in texts}
    if not judgements:
        raise ValueError(
            f"{str(qrels)!r}: split {_stem(Path(qrels))!r} judges none of the queries of "
            f"{str(queries)!r}"
        )
    corpus: dict[str, str] = {}
    titles: dict[str, str] = {}
    unknown: set[str] = set()
    if documents is not None:
        corpus, titles = _corpus(document_rows(documents, key, on), key, on, judgements)
        unknown = {id for grades in judgements.values() for id in grades if id not in corpus}
    return Dataset(
        corpus,
        {id: texts[id] for id in judgements},
        judgements,
        titles,
        n_unknown_documents=len(unknown),
        n_unknown_queries=len(judged) - len(judgements),
        n_contradicting=n_contradicting,
    )


def document_rows(path: str | Path, key: str, on: Sequence[str]) -> DocumentRows:
    """Return the rows of a file of documents, or of a folder of such files; of BEIR's, its corpus.

    A table without a header is read as MS MARCO has them: id and text, or id, url, title and text;
    its columns then have the names that are looked for.
    """
    text = "text" if on[-1] in (key, "url", "title") else on[-1]
    return open_rows(_documents_of(path), (key, text), (key, "url", "title", text))


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what `Rows` yields: the name that it had when it read JSON lines alone."""
    return iter(Rows(path))


def _corpus(
    rows: DocumentRows, key: str, on: Sequence[str], titled: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the text of each document by its id, and of some what comes before the last field."""
    texts: dict[str, str] = {}
    titles: dict[str, str] = {}
    there: set[str] = set()
    fields: set[str] = set()
    for number, record in rows:
        place = rows.place(number)
        id = _add(texts, record, key, on, place)
        there.update(present(record, on))
        fields.update(record)
        if id in titled and (title := join_fields(record, on[:-1])):
            titles[id] = title
    _check_any(texts, rows)
    if not there:
        raise ValueError(
            f"{rows.name}: no document has one of the fields {list(on)}: they have "
            f"{listed(sorted(fields))}; {option('on')} names the fields"
        )
    return texts, titles


def read_queries(path: str | Path) -> dict[str, str]:
    """Return the text of each query of a file by its id, in order.

    Args:
        path: Any file that `Rows` reads, with an id and a text in each record, or plain text whose
            name ends in .txt: then each line is a query, and its number the id.

    Raises:
        ValueError: If it holds no query, or a record has no id or no text.
    """
    rows = Rows(path)
    if Path(path).name.removesuffix(".gz").endswith(".txt"):
        found = {str(number): line.strip() for number, line in rows.lines()}
        if not found:
            raise ValueError(f"{rows.name} is empty; expected a query a line")
        return found
    return _queries(rows)


def _queries(rows: Rows) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, record in rows:
        place = rows.place(number)
        key = _first(QUERY_IDS, record, "id", place)
        text = _first(QUERY_TEXTS, record, "text", place)
        _add(texts, record, key, FIELDS if text == "text" else (text,), place)
    _check_any(texts, rows)
    return texts


def _add(
    texts: dict[str, str], record: dict[str, Any], key: str, on: Sequence[str], place: str
) -> str:
    """Add the text of a record by its id, which is returned."""
    given = look_up(record, key)
    id = as_key(given)
    if id is None:
        what = f"got {given!r}" if has_field(record, key) else f"it has {listed(record)}"
        how = f"{option('key')} names the field"
        raise ValueError(f"{place}: needs `{key}`, a string or an integer; {what}; {how}")
    if str(id) in texts:
        raise ValueError(f"{place}: `{key}` {id!r} appears twice")
    try:
        texts[str(id)] = join_fields(record, on)
    except ValueError as error:
        raise ValueError(f"{place}: {error}; `{key}` is {id!r}") from None
    return str(id)


def _first(names: Sequence[str], record: dict[str, Any], what: str, place: str) -> str:
    for name in names:
        if has_field(record, name):
            return name
    raise ValueError(
        f"{place}: has no {what} of a query: none of {list(names)} is among {listed(record)}"
    )


def _check_any(texts: dict[str, str], rows: DocumentRows) -> None:
    if not texts:
        raise ValueError(
            f"{rows.name} is empty, or a header alone; expected records with id and text"
        )


def _documents_of(path: str | Path) -> str | Path:
    """Return the file of documents of a BEIR folder; else what is given."""
    if not Path(path).is_dir():
        return path
    corpus = _part(Path(path), "corpus")
    return corpus if corpus.is_file() else path


def _part(folder: Path, name: str) -> Path:
    """Return the file of a folder's documents or queries, whatever its layout."""
    usual = folder / f"{name}.jsonl"
    if usual.is_file():
        return usual
    found = sorted(
        path for path in folder.glob(f"{name}*") if _stem(path) == name and path.is_file()
    )
    if len(found) > 1:
        named = ", ".join(path.name for path in found)
        raise ValueError(f"{str(folder)!r} has more than one file of {name}: {named}")
    return found[0] if found else usual


def _split(folder: Path, split: str) -> Path:
    """Return the file of a split's judgements, whatever its layout."""
    usual = folder / "qrels" / f"{split}.tsv"
    if usual.is_file():
        return usual
    there = [path for path in sorted(usual.parent.glob("*")) if path.is_file()]
    found = [path for path in there if split in (_stem(path), path.name)]
    if not found:
        names = sorted({_stem(path) for path in there})
        raise FileNotFoundError(f"{str(folder)!r} has no split {split!r}; there are {names}")
    if len(found) > 1:
        named = ", ".join(path.name for path in found)
        raise ValueError(f"{str(folder)!r} has more than one file of split {split!r}: {named}")
    return found[0]


def _stem(path: Path) -> str:
    """Return a file's name without what says its layout: "train" for train.tsv.gz."""
    name = path.name.removesuffix(".gz")
    suffix = suffix_of(path.name)
    return name[: -len(suffix)] if suffix in (*SUFFIXES, ".txt", ".qrels", ".qrel") else name
