"""A help centre in two languages, from a CSV: each question is answered in its own.

Usage: python examples/help_centre.py "wie kann ich kündigen" [--lang de]

It needs the base install alone. BM25 tells the language of each text by its small words, and stems
by it; a question's words count twice as much as its answer's.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from glane import BM25, Analyzer, Search

TABLE = Path(__file__).with_name("help_centre.csv")


def main() -> None:
    """Read the table, search it, and print what was found with its matches marked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question")
    parser.add_argument("--lang", choices=["de", "en"], help="answers in this language alone")
    arguments = parser.parse_args()
    search = help_centre(TABLE)
    where = None if arguments.lang is None else {"lang": arguments.lang}
    found = search.search([arguments.question], k=3, filter=where)
    for article in search.documents(found.ids[0]):
        print(f"{article['question']}\n    {article['answer']}")
    if not found.ids[0]:
        print("nothing found")


def help_centre(table: Path) -> Search:
    """Return a search over the questions and answers of a table."""
    search = Search(
        BM25(analyzer=Analyzer(language="auto")),
        key="id",
        on=["question^2", "answer"],
        keep_documents=True,
        fields={"lang": "keyword"},
    )
    with table.open(encoding="utf-8", newline="") as lines:
        search.add(csv.DictReader(lines))
    return search


if __name__ == "__main__":
    main()
