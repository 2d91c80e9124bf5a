"""Which layout a file has: by its name where that says it and the content fits, else by content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from glane.collection.tables import is_table

Layout = Literal["lines", "array", "table", "parquet"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""By which a name says the layout, also with .gz behind."""

PARQUET = b"PAR1"

OBJECT = re.compile(r'\{\s*(?:["}]|$)')
"""How a JSON object begins; the header of a table may begin with a brace as well."""

ARRAY = re.compile(r'\[\s*(?:[\[{"\]\d-]|(?:true|false|null)\b|$)')

ROW = re.compile(r'\[[ \t]*["\d-][^\n]*\][ \t\r]*(?:\n|$)')
"""A line that is an array of its own, such as ColBERT's triples: a text or number is first."""

OBJECTS = re.compile(r"\[\s*\{")

MARKUP = re.compile(r"<(?:!doctype|html|head|body|\?xml)\b", re.IGNORECASE)


def find_layout(path: str, head: str, is_all: bool) -> Layout:
    """Return the layout of a text file.

    Args:
        path: Its name; a last `.gz` says nothing.
        head: Its beginning, not blank.
        is_all: Whether that is all of it.

    Raises:
        ValueError: If it is HTML or XML.
    """
    text = head.lstrip()
    if MARKUP.match(text):
        raise ValueError("is HTML or XML; expected JSON lines, a JSON array, CSV, TSV or Parquet")
    match suffix_of(path):
        case ".csv" | ".tsv":
            named = "table"
        case ".jsonl" | ".ndjson":
            named = "lines"
        case ".json":
            named = "json"
        case _:
            named = ""
    return _layout(named, text, is_all)


def suffix_of(path: str) -> str:
    """Return what a name ends in, in small letters, without `.gz`.

    >>> suffix_of("faq.CSV.gz")
    '.csv'
    """
    name = Path(path).name.lower().removesuffix(".gz")
    return Path(name).suffix


def _layout(named: str, text: str, is_all: bool) -> Layout:
    if OBJECTS.match(text):
        return "array"
    if OBJECT.match(text):
        return "lines"
    if named == "table":
        return "table"
    if ARRAY.match(text) and named != "lines":
        return "array"
    is_json = text[0] in "{[" if named else False
    return "lines" if named and (is_json or not is_table(text, is_all)) else "table"
