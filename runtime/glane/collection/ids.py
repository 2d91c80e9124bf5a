"""The one rule of ids where files meet: an integer and its decimal digits are the same id.

A table has only texts, JSON has integers too, and a file of judgements may name with digits what
a file of documents has as a number. So 7 and "7" are one id, and "007" is another:

* within one file, both forms are one id that appears twice;
* judgements, queries, documents, runs and triples meet by the text of their ids;
* a document that is added to an index takes the place of the one that is stored in either form,
  which keeps its form; `glane delete` finds a document by either form as well.

Python's `Search` is told ids as they are, and keeps 1 and "1" apart; so an index can hold both.
Then the form that is given decides, and `glane evaluate` refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from glane.store.names import Name, Names
from glane.types import Ids

INTEGER = re.compile("0|-?[1-9][0-9]{0,99}")
"""As Python writes it: `007` is not the text of an integer."""


def other_form(id: Name) -> Name | None:
    """Return the id as text where it is an integer, as an integer where it is its text.

    >>> other_form(7), other_form("7"), other_form("007")
    ('7', 7, None)
    """
    if isinstance(id, int):
        return str(id)
    return int(id) if INTEGER.fullmatch(id) else None


def find_ids(names: Names, ids: Sequence[Name]) -> Ids:
    """Return the number of each id in the form that is stored, -1 where neither is.

    Where both are, it is that of the form that is given.
    """
    numbers = names.find(ids)
    others = {
        row: form
        for row in np.flatnonzero(numbers < 0).tolist()
        if (form := other_form(ids[row])) is not None
    }
    if others:
        numbers[list(others)] = names.find(list(others.values()))
    return numbers


def as_stored(names: Names, ids: Sequence[Name]) -> list[Name]:
    """Return ids in the form in which they are stored, as given where they are not."""
    numbers = find_ids(names, ids)
    stored = names.names(numbers[numbers >= 0])
    found = iter(stored)
    return [next(found) if number >= 0 else id for id, number in zip(ids, numbers, strict=True)]


def all_ids(names: Names) -> list[Name]:
    """Return all ids that are stored."""
    return [id for part in names.rows.parts for id in names.names(part.ids[part.kept])]


def in_both_forms(names: Names) -> int | None:
    """Return an integer that is stored beside its text, if there is one."""
    integers = [id for id in all_ids(names) if isinstance(id, int)]
    twice = np.flatnonzero(names.find([str(id) for id in integers]) >= 0)
    return integers[int(twice[0])] if len(twice) else None
