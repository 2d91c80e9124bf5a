"""Makes the lines of one query: its negatives chosen, and what was left out counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from glane.types import Floats, Ids
from glane_trainer.mining.choosing import Choice, chosen, says_something, scaled, too_close
from glane_trainer.mining.ground import Asked, Ground

DIGITS = 7
"""Of a score as it is written: what a float32 holds."""


class Pool(NamedTuple):
    """The documents that may become negatives of a query: in the ranks, and no known answers.

    Attributes:
        numbers: Of the documents, best first.
        counts: How many others were passed over, by the reason.
    """

    numbers: Ids
    counts: Counter[str]


class Lines(NamedTuple):
    """What becomes of one query.

    Attributes:
        records: One for each spelling and answer.
        bare: Those that have no negative.
        counts: What was left out, by the reason.
    """

    records: list[dict[str, Any]]
    bare: list[dict[str, Any]]
    counts: Counter[str]


def pool_of(ground: Ground, asked: Asked, ranking: Iterable[int], choice: Choice) -> Pool:
    """Return what may become a negative, of a ranking: numbers of documents, best first."""
    answers = set(asked.answers.tolist())
    passed = {ground.spelled(number): "equal_texts" for number in answers}
    passed[""] = "empty"
    counts: Counter[str] = Counter()
    others = []
    for number in ranking:
        text = ground.spelled(number)
        reason = passed.get(text)
        if number in answers:
            reason = "known"
        elif number in asked.barred:
            reason = "queries"
        if reason is None:
            others.append(number)
            passed[text] = "repeated"
        else:
            counts[reason] += 1
    low, high = choice.ranks
    return Pool(np.array(others[low - 1 : high], np.int64), counts)


def lines_of(
    ground: Ground,
    asked: Asked,
    pool: Pool,
    scores: Floats,
    choice: Choice,
    random: np.random.Generator,
) -> Lines:
    """Return a query's lines.

    Args:
        ground: The documents.
        asked: The query.
        pool: What may become a negative.
        scores: The teacher's, of the query's answers by rising number, and then of the pool.
        choice: How negatives are chosen.
        random: Draws.
    """
    answers = asked.answers.tolist()
    exact, told = scores.astype(np.float64), says_something(scores)
    written = np.zeros(len(scores))
    written[told] = scaled(exact[told], choice.scale)
    counts = pool.counts.copy()
    counts["unscored"] += int((~told[len(answers) :]).sum())
    records, bare = [], []
    for anchor, positive in asked.pairs:
        place = answers.index(positive)
        if not told[place] or not anchor.strip() or not ground.texts[positive].strip():
            counts["pairs_without_text"] += 1
            continue
        close = too_close(exact, float(exact[place]), choice) & told
        close[: len(answers)] = False
        counts["too_close"] += int(close.sum())
        left = len(answers) + np.flatnonzero((told & ~close)[len(answers) :])
        rows = left[chosen(len(left), choice, random)]
        if not len(rows):
            counts["pairs_without_negatives"] += 1
            bare.append({"anchor": anchor, "positive": ground.texts[positive], "negatives": []})
            continue
        negatives = pool.numbers[rows - len(answers)].tolist()
        records.append(
            {
                "anchor": anchor,
                "positive": ground.texts[positive],
                "negatives": [ground.texts[number] for number in negatives],
                "teacher_scores": [
                    _rounded(float(written[row])) for row in (place, *rows.tolist())
                ],
            }
        )
    return Lines(records, bare, counts)


def _rounded(score: float) -> float:
    return float(f"{score:.{DIGITS}g}")
