"""Conditions that documents are filtered by: what they say, and which documents keep them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from glane.store.values import MANY, Values
from glane.types import Mask

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.eq,  # of which the whole is turned round
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERED = ("<", "<=", ">", ">=")


class Condition(Protocol):
    """What a document keeps or does not keep."""

    def kept(self, values: Values) -> Mask:
        """Return by number which documents keep it, shape (next_id,).

        Raises:
            ValueError: If it names a field that is not there, or a value does not fit its type.
        """
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """A field beside a value: kept where any of a document's values is so; != is not =."""

    field: str
    comparison: str
    value: object

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        _check_field(self.field, values)
        type = values.types[self.field]
        if type.removesuffix(MANY) == "keyword" and self.comparison in ORDERED:
            raise ValueError(
                f"field {self.field!r} is of type {type}, which has no order: use = or in, got "
                f"{self.comparison}"
            )
        number = values.number(self.field, self.value)
        compare = COMPARISONS[self.comparison]
        found = values.where(self.field, lambda stored: compare(stored, number))
        return values.stored() & ~found if self.comparison == "!=" else found


@dataclass(frozen=True, slots=True)
class OneOf:
    """A field has one of some values."""

    field: str
    values: tuple[object, ...]

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        _check_field(self.field, values)
        numbers = np.array([values.number(self.field, value) for value in self.values])
        return values.where(self.field, lambda found: np.isin(found, numbers))


@dataclass(frozen=True, slots=True)
class Exists:
    """A field has a value at all."""

    field: str

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        _check_field(self.field, values)
        return values.where(self.field, lambda found: np.ones(len(found), np.bool_))


@dataclass(frozen=True, slots=True)
class Not:
    """The condition is not kept."""

    condition: Condition

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        return values.stored() & ~self.condition.kept(values)


@dataclass(frozen=True, slots=True)
class All:
    """Every condition is kept; of none, that is so."""

    conditions: tuple[Condition, ...]

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        kept = values.stored()
        for condition in self.conditions:
            kept &= condition.kept(values)
        return kept


@dataclass(frozen=True, slots=True)
class Either:
    """One of the conditions is kept at least; of none, that is not so."""

    conditions: tuple[Condition, ...]

    def kept(self, values: Values) -> Mask:
        """See `Condition`."""
        kept = np.zeros(values.rows.next_id, np.bool_)
        for condition in self.conditions:
            kept |= condition.kept(values)
        return kept


DEEPEST = 100
"""How deep conditions may lie in one another."""


def check_depth(depth: int) -> None:
    """Refuse a condition that lies too deep in others.

    Raises:
        ValueError: If it does.
    """
    if depth > DEEPEST:
        raise ValueError(f"a filter may be nested {DEEPEST} deep at most")


def condition_of(record: object, depth: int = 1) -> Condition:
    """Return the condition that a JSON object spells.

    Args:
        record: Such as `{"year": {">=": 2020, "<": 2025}, "lang": ["de", "en"], "not": {"tags":
            "draft"}}`: entries are all to be kept. A value is equality, a list one of its values,
            an object comparisons and `exists`; `and` and `or` have lists of objects, `not` one.
        depth: How deep it lies in others, from 1.

    Raises:
        ValueError: If it is not of this form.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"a filter must be text or an object, got {type(record).__name__}")
    check_depth(depth)
    return _together([_entry(name, value, depth) for name, value in record.items()])


def _check_field(field: str, values: Values) -> None:
    if field in values.types:
        return
    known = list(values.types)
    from difflib import get_close_matches  # late: only an error needs it

    close = get_close_matches(field, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"no field {field!r} to filter by; there are {known}{hint}")


def _entry(name: object, value: object, depth: int) -> Condition:
    match name, value:
        case "and", [*several]:
            return All(tuple(condition_of(each, depth + 1) for each in several))
        case "or", [*several]:
            return Either(tuple(condition_of(each, depth + 1) for each in several))
        case "not", Mapping():
            return Not(condition_of(value, depth + 1))
        case (("and" | "or" | "not"), _):
            wanted = "an object" if name == "not" else "a list of objects"
            raise ValueError(f"`{name}` in a filter must have {wanted}, got {value!r:.60}")
        case str(), [*wanted]:
            return OneOf(name, tuple(wanted))
        case str(), Mapping():
            return _together([_comparison(name, op, each) for op, each in value.items()])
        case str(), (str() | int() | float()):
            return Compared(name, "=", value)
    raise ValueError(f"a filter must name a field and what is wanted, got {name!r}: {value!r:.60}")


def _comparison(field: str, name: object, value: object) -> Condition:
    if name == "exists" and isinstance(value, bool):
        return Exists(field) if value else Not(Exists(field))
    if name == "in" and isinstance(value, list | tuple):
        return OneOf(field, tuple(value))
    if not isinstance(name, str) or name not in COMPARISONS:
        known = [*COMPARISONS, "in", "exists"]
        raise ValueError(
            f"a filter of {field!r} must be one of {known}, got {name!r}: {value!r:.60}"
        )
    return Compared(field, name, value)


def _together(conditions: list[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else All(tuple(conditions))
