"""Mines query after query, keeps what is done, and says what came of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from glane.model.progress import bar
from glane.retrievers.fusion import joined, standardised
from glane.types import Floats
from glane_trainer.mining.choosing import Choice, chosen
from glane_trainer.mining.draft import Draft, drafting
from glane_trainer.mining.ground import Asked, Ground
from glane_trainer.mining.ranking import Ranked, Ranker
from glane_trainer.mining.report import report
from glane_trainer.mining.selecting import Pool, lines_of, pool_of

AT_ONCE = 32
"""Queries that are ranked at once, and kept together."""

SALT = 4
"""Set beside the seed, so that no other part of the package draws the same."""


class Teacher(Protocol):
    """Scores texts for queries."""

    def score(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[Floats]:
        """Return the score of each of a query's texts, for each query."""
        ...

    def record(self) -> dict[str, object]:
        """Return what decides the scores, as JSON."""
        ...


class Mined(NamedTuple):
    """What became of some queries.

    Attributes:
        records: Lines to learn from.
        counts: What was left out, by the reason.
        ranks: Of each known answer among what was found, from 1; 0 where it was not found.
    """

    records: list[dict[str, Any]]
    counts: dict[str, int]
    ranks: list[int]


class Miner:
    """Mines a ground."""

    def __init__(
        self,
        ground: Ground,
        ranker: Ranker,
        teacher: Teacher | None,
        choice: Choice,
        *,
        share: float | None = None,
        without_negatives: bool = False,
    ) -> None:
        """Take what is mined and how.

        Args:
            ground: Documents and queries.
            ranker: Finds the candidates.
            teacher: Scores them; None takes the ranker's scores.
            choice: Which become negatives.
            share: Of the ranker's scores in those of the teacher, each brought to mean 0 and
                deviation 1; as many texts are then scored as become negatives, drawn before. None
                takes the teacher's as they are, of all in the ranks.
            without_negatives: Whether a pair that is left with none is written all the same.
        """
        self._ground, self._ranker, self._teacher = ground, ranker, teacher
        self._choice, self._share = choice, share
        self._without_negatives = without_negatives

    def identity(self) -> str:
        """Return the sha256, in hex, of all that decides what is mined."""
        teacher = None if self._teacher is None else self._teacher.record()
        told = [
            self._ground.fingerprint(),
            self._ranker.record(),
            teacher,
            asdict(self._choice),
            self._share,
            self._without_negatives,
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def parts(self, n_done: int = 0) -> Iterator[Mined]:
        """Yield what becomes of the queries, `AT_ONCE` after `AT_ONCE`.

        Args:
            n_done: Parts to leave out, which were mined before.

        Raises:
            ValueError: If a score is no number.
        """
        asked = self._ground.asked
        for start in range(n_done * AT_ONCE, len(asked), AT_ONCE):
            yield self._part(start, asked[start : start + AT_ONCE])

    def _part(self, start: int, asked: Sequence[Asked]) -> Mined:
        queries, answers = [each.query for each in asked], [each.answers for each in asked]
        depth = self._choice.ranks[1] + max(map(len, answers))
        ranked = self._ranker.rank(queries, answers, depth)
        pools = [
            pool_of(self._ground, each, ranked.order(row), self._choice)
            for row, each in enumerate(asked)
        ]
        if self._share is not None:
            pools = [self._drawn(pool, start + row) for row, pool in enumerate(pools)]
        mined = Mined([], {}, [])
        counts: Counter[str] = Counter()
        for row, scores in enumerate(self._scores(asked, ranked, pools)):
            if not np.isfinite(scores).all():
                raise ValueError(f"the teacher's scores of {queries[row]!r} are no finite numbers")
            random = self._random(start + row)
            lines = lines_of(self._ground, asked[row], pools[row], scores, self._choice, random)
            bare = lines.bare if self._without_negatives else []
            mined.records.extend([*lines.records, *bare])
            counts.update(lines.counts)
            mined.ranks.extend(ranked.ranks(row, answers[row]))
        return mined._replace(counts=dict(sorted(counts.items())))

    def _scores(
        self, asked: Sequence[Asked], ranked: Ranked, pools: Sequence[Pool]
    ) -> Iterable[Floats]:
        wanted = [
            np.concatenate([each.answers, pool.numbers])
            for each, pool in zip(asked, pools, strict=True)
        ]
        if self._teacher is None:
            return [ranked.scores(row, numbers) for row, numbers in enumerate(wanted)]
        texts = [[self._ground.texts[int(number)] for number in each] for each in wanted]
        scores = self._teacher.score([each.query for each in asked], texts)
        if self._share is None:
            return scores
        first = [ranked.scores(row, numbers) for row, numbers in enumerate(wanted)]
        return [
            joined(_standardised(one), _standardised(other), self._share)
            for one, other in zip(first, scores, strict=True)
        ]

    def _drawn(self, pool: Pool, query: int) -> Pool:
        rows = chosen(len(pool.numbers), self._choice, self._random(query))
        return pool._replace(numbers=pool.numbers[rows])

    def _random(self, query: int) -> np.random.Generator:
        return np.random.default_rng([self._choice.seed, SALT, query])


def mine(
    miner: Miner, n_queries: int, out: Path, *, overwrite: bool, mark: str | None = None
) -> dict[str, Any]:
    """Mine into a file of JSON lines, and go on with one that was interrupted.

    Args:
        miner: Mines.
        n_queries: Of its ground.
        out: The file; it is there when all is done.
        overwrite: Whether what was interrupted may be replaced, if it was of other data or
            settings.
        mark: Written into each line as `mined`, where it is not None.

    Returns:
        What came of it, see `report`.

    Raises:
        FileExistsError: If something else was interrupted there, and may not be replaced.
        LockedError: If another process is at it.
        ValueError: If there is nothing to write.
    """
    with drafting(out, miner.identity(), overwrite=overwrite) as draft:
        n_done = draft.n_done()
        with bar(n_queries, "queries") as told:
            told.update(min(n_queries, n_done * AT_ONCE))
            for mined in miner.parts(n_done):
                draft.add(mined._asdict())
                told.update(AT_ONCE)
        result = report(map(_mined, draft.parts()))
        if not result["n_written"]:
            raise ValueError(
                f"no query is left with a negative: {result['left_out']}; widen --ranks, or lower "
                "the margins"
            )
        draft.finish(_records(draft, {} if mark is None else {"mined": mark}))
    return {**result, "resumed": n_done > 0}


def _standardised(scores: Floats) -> Floats:
    places = np.arange(len(scores))
    return standardised(places, scores.astype(np.float32), places)


def _mined(part: dict[str, Any]) -> Mined:
    return Mined(**part)


def _records(draft: Draft, beside: dict[str, str]) -> Iterator[Any]:
    for part in draft.parts():
        for record in part["records"]:
            yield {**record, **beside}
