"""All that a run learns from and is measured on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from glane.collection.dataset import Dataset
from glane.model.preparation import TextPreparer
from glane_trainer.hashing import sha256_of
from glane_trainer.holdout import read_as_held_out, restricted, told_apart_by_spelling
from glane_trainer.many import Examples
from glane_trainer.sample import write_sample

TOKENIZED = 100_000
"""Examples whose queries are all tokenized before the first step; of more, held-out ones alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was found amiss in the data, and left out of what is learned.

    Attributes:
        own_negatives: Negatives that were the example's own positive; dropped.
        known_negatives: Negatives that another example calls an answer to the same query; the
            contrastive loss passes them over. Where more than
            `glane_trainer.reading.LOOKED_AT` examples share their query with another, these are of
            so many, evenly chosen.
        spelled_otherwise: Examples whose query is a held-out one in another spelling, or has its
            token ids; dropped.
        unknown_documents: Documents that a BEIR folder judges and does not have; passed over.
        unknown_queries: Queries, likewise.
        unknown_negatives: Ids in a file of hard negatives that the split or the corpus lacks;
            passed over.
        contradicting: Judgements that give a query and a document another grade than one before;
            the last counts.
        without_negatives: Examples that have no negative of their own; they learn from the other
            documents of their batch.
    """

    own_negatives: int = 0
    known_negatives: int = 0
    spelled_otherwise: int = 0
    unknown_documents: int = 0
    unknown_queries: int = 0
    unknown_negatives: int = 0
    contradicting: int = 0
    without_negatives: int = 0


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training run needs to know.

    Attributes:
        examples: To learn from; queries of `held_out` are not among them, however spelled. Any
            sequence may be given.
        held_out: To measure on, or None.
        counts: What was found amiss.
    """

    examples: Examples
    held_out: Dataset | None = None
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        """Take examples that are in memory as well."""
        object.__setattr__(self, "examples", Examples.of(self.examples))

    def fingerprint(self) -> str:
        """Return the sha256, in hex, of the examples in their order."""
        return self.examples.fingerprint()

    def write_sample(self, folder: Path) -> None:
        """Write some of the texts into a folder that is there: an export is proved on them."""
        write_sample(folder, self.examples)

    def held_out_fingerprint(self) -> str | None:
        """Return the sha256, in hex, of what is measured on, None where nothing is."""
        if self.held_out is None:
            return None
        dataset = self.held_out
        parts = (dataset.queries, dataset.judgements, dataset.corpus)
        return sha256_of(*(part.items() for part in parts)).hexdigest()

    def apart(self, preparer: TextPreparer) -> TrainingData:
        """Return the data without the queries that a model cannot tell from held-out ones.

        Of more than `TOKENIZED` examples it is the held-out queries that are left out: those that
        the model cuts, or has no token for a part of. All others it tells apart by their spelling.

        Args:
            preparer: The model's: their token ids decide, cut at its length.

        Raises:
            ValueError: If nothing is left to learn from, or to measure on.
        """
        if self.held_out is None:
            return self
        if len(self.examples) > TOKENIZED:
            return self._measured_apart(self.held_out, preparer)
        anchors = [example.anchor for example in self.examples]
        same = read_as_held_out(anchors, self.held_out.queries.values(), preparer)
        if not same:
            return self
        kept = np.array([anchor not in same for anchor in anchors])
        if not kept.any():
            raise ValueError(
                "nothing is left to learn from: this model reads every query as one that is held "
                "out, with the same token ids; does its tokenizer know the language?"
            )
        examples = self.examples.taken(kept)
        counts = replace(
            self.counts,
            spelled_otherwise=self.counts.spelled_otherwise + int((~kept).sum()),
            without_negatives=int((~examples.has_negatives()).sum()),
        )
        return replace(self, examples=examples, counts=counts)

    def _measured_apart(self, held_out: Dataset, preparer: TextPreparer) -> TrainingData:
        apart = told_apart_by_spelling(held_out.queries, preparer)
        if not apart:
            raise ValueError(
                "nothing is left to measure on: this model cuts every held-out query, or has no "
                "tokens for it; does its tokenizer know the language?"
            )
        return (
            self
            if len(apart) == len(held_out.queries)
            else replace(self, held_out=restricted(held_out, set(apart)))
        )

    def summary(self) -> str:
        """Return a line on each source, on what is learned from, and what it is measured on."""
        n, n_without = len(self.examples), self.counts.without_negatives
        told = f"{n} examples to learn from, {n - n_without} with negatives of their own"
        if n_without:
            told += f", {n_without} without: they learn from the rest of their batch"
        n_held_out = 0 if self.held_out is None else len(self.held_out.queries)
        return "\n".join([*self.examples.told(), f"{told}; {n_held_out} queries to measure on"])

    def check_teacher(self) -> None:
        """Refuse examples that a loss with a teacher cannot learn from.

        Raises:
            ValueError: If one has no negative or no `teacher_scores`; the message says where it
                was read.
        """
        has_negatives = self.examples.has_negatives()
        lacking = np.flatnonzero(~(has_negatives & self.examples.has_scores()))
        if len(lacking):
            position = int(lacking[0])
            field = "teacher_scores" if has_negatives[position] else "negatives"
            raise ValueError(
                f"{self.examples.place(position)}: a loss with a teacher needs `{field}`, but the "
                f"example of query {self.examples[position].anchor!r} has none"
            )
