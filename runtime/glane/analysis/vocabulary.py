"""A vocabulary that grows: terms by number and numbers by term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from glane.store.names import Names
from glane.types import Ids


class Vocabulary:
    """Terms, numbered in order of entry; those on disk are looked up there at first use.

    Attributes:
        names: The terms that are ready to be saved; the others follow with `flush`.
    """

    def __init__(self) -> None:
        """Make it empty."""
        self.names = Names()
        self._new: list[str] = []
        self._known: dict[str, int] = {}

    def __len__(self) -> int:
        return self.names.rows.next_id + len(self._new)

    def number(self, term: str) -> int:
        """Return a term's number, -1 where it has none."""
        number = self._known.get(term)
        if number is None:
            number = int(self.names.find([term])[0]) if len(self.names) else -1
            if number >= 0:
                self._known[term] = number
        return number

    def enter_all(self, terms: Sequence[str]) -> list[int]:
        """Return the numbers of terms, in order of entry where they had none; one may be twice."""
        numbers = list(map(self._known.get, terms))
        unknown = [place for place, number in enumerate(numbers) if number is None]
        if unknown and len(self.names):
            stored = self.names.find([terms[place] for place in unknown]).tolist()
            found = zip(unknown, stored, strict=True)
            self._known.update((terms[place], number) for place, number in found if number >= 0)
        for place in unknown:
            numbers[place] = self._entered(terms[place])
        return cast(list[int], numbers)

    def _entered(self, term: str) -> int:
        """Return the number of a term that is not stored."""
        number = self._known.get(term)
        if number is None:
            number = len(self)
            self._new.append(term)  # first: who finds the number also finds the term
            self._known[term] = number
        return number

    def terms(self, numbers: list[int]) -> list[str]:
        """Return the terms of numbers below the vocabulary's length."""
        first = self.names.rows.next_id
        stored = iter(self.names.names([number for number in numbers if number < first]))
        return [
            str(next(stored)) if number < first else self._new[number - first] for number in numbers
        ]

    def only(self, used: Ids) -> Vocabulary:
        """Return a vocabulary of some terms, numbered anew in the order of their numbers.

        Args:
            used: Their numbers, rising; all others that are ready to be saved are left out.
        """
        made = Vocabulary()
        rows = self.names.rows.snapshot()
        rows.delete(np.setdiff1d(np.arange(rows.next_id), used))
        joined = rows.joined(rows.parts)
        renumbered = [replace(part, ids=np.arange(len(part.ids))) for part in joined]
        made.names.rows.fill(tuple(renumbered), len(used))
        return made

    def flush(self) -> None:
        """Put the new terms among those that are saved."""
        self.names.add(self._new)
        self._new = []
