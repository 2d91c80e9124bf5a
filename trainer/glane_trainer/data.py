"""All that a run learns from and is measured on, read and checked before the first step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from glane.collection.dataset import Dataset, read_beir
from glane.collection.pairs import Fields
from glane.model.preparation import TextPreparer
from glane_trainer.examples import (
    Example,
    judged_examples,
    read_beir_examples,
    read_triples,
    without_its_positive,
)
from glane_trainer.holdout import choose_held_out, read_as_held_out, spelling
from glane_trainer.sample import write_sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was found amiss in the data, and left out of what is learned.

    Attributes:
        own_negatives: Negatives that were the example's own positive; dropped.
        known_negatives: Negatives that another example calls an answer to the same query; the
            contrastive loss passes them over.
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
        examples: To learn from; queries of `held_out` are not among them, however spelled.
        known: Every document known to answer a query, by the query's text.
        held_out: To measure on, or None.
        counts: What was found amiss.
    """

    examples: list[Example]
    known: dict[str, frozenset[str]]
    held_out: Dataset | None = None
    counts: Counts = field(default_factory=Counts)

    def fingerprint(self) -> str:
        """Return the sha256, in hex, of the examples in their order."""
        return _sha256(
            [example.anchor, example.positive, example.negatives, example.teacher_scores]
            for example in self.examples
        )

    def write_sample(self, folder: Path) -> None:
        """Write some of the texts into a folder that is there: an export is proved on them."""
        write_sample(folder, self.examples)

    def held_out_fingerprint(self) -> str | None:
        """Return the sha256, in hex, of what is measured on, None where nothing is."""
        if self.held_out is None:
            return None
        dataset = self.held_out
        parts = (dataset.queries, dataset.judgements, dataset.corpus)
        return _sha256(item for part in parts for item in part.items())

    def apart(self, preparer: TextPreparer) -> TrainingData:
        """Return the data without the queries that a model cannot tell from held-out ones.

        Args:
            preparer: The model's: their token ids decide, cut at its length.

        Raises:
            ValueError: If nothing is left to learn from.
        """
        if self.held_out is None:
            return self
        anchors = [example.anchor for example in self.examples]
        same = read_as_held_out(anchors, self.held_out.queries.values(), preparer)
        if not same:
            return self
        kept = [example for example in self.examples if example.anchor not in same]
        if not kept:
            raise ValueError(
                "nothing is left to learn from: this model reads every query as one that is held "
                "out, with the same token ids; does its tokenizer know the language?"
            )
        counts = replace(
            self.counts,
            spelled_otherwise=self.counts.spelled_otherwise + len(self.examples) - len(kept),
            without_negatives=_n_without(kept),
        )
        return replace(self, examples=kept, counts=counts)

    def summary(self) -> str:
        """Return a line on what is learned from, and what it is measured on."""
        n, n_without = len(self.examples), self.counts.without_negatives
        told = f"{n} examples to learn from, {n - n_without} with negatives of their own"
        if n_without:
            told += f", {n_without} without: they learn from the rest of their batch"
        n_held_out = 0 if self.held_out is None else len(self.held_out.queries)
        return f"{told}; {n_held_out} queries to measure on"

    def check_teacher(self) -> None:
        """Refuse examples that a loss with a teacher cannot learn from.

        Raises:
            ValueError: If one has no negative or no `teacher_scores`; the message says where it
                was read.
        """
        for example in self.examples:
            if not example.negatives or not example.teacher_scores:
                lacking = "teacher_scores" if example.negatives else "negatives"
                raise ValueError(
                    f"{example.place}: a loss with a teacher needs `{lacking}`, but the example "
                    f"of query {example.anchor!r} has none"
                )


def read_data(
    path: str | Path | Dataset,
    *,
    split: str = "train",
    dev_split: str | None = None,
    holdout: float = 0.1,
    seed: int = 0,
    fields: Fields = Fields(),  # noqa: B008 (frozen)
) -> TrainingData:
    """Read all training data and set some queries apart to measure on.

    Args:
        path: A BEIR folder, or a file in any layout that `glane.collection.rows.Rows` reads:
            triples, pairs without negatives, or lists of positives and negatives; where a teacher
            scored them with `teacher_scores`, positives first. Or a collection that was read
            already, such as by `glane.collection.dataset.read_collection`.
        split: Judgements of a BEIR folder to learn from. Negatives are taken from
            `<split>_hardneg.tsv`, where there is one: query, positive, negatives joined by spaces.
        dev_split: Judgements of a BEIR folder to measure on, instead of a part of `split`.
        holdout: Share of the distinct queries to measure on, in [0, 1); 0 measures nothing.
        seed: Decides which queries are held out.
        fields: Which fields of a file hold what, where they have no name in common use.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a line is malformed (file, line and field are named), nothing is left to
            learn from, `holdout` is outside its range, or a setting is not for this `path`.
    """
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout must be a share from 0 to below 1, got {holdout}")
    unknown = set[str]()
    dataset, read = _read(path, split, fields, unknown)
    if not read:
        raise ValueError(f"{_name(path)} has no training example")
    judged = [dataset]
    if dev_split is not None:
        judged.append(_read_dev(path, dev_split))
        held_out: Dataset | None = judged[-1]
    else:
        held_out = _held_out(dataset, {e.anchor for e in read}, holdout, seed)
    examples = [without_its_positive(example) for example in read]
    kept, n_respelled = _without(examples, held_out)
    if not kept:
        raise ValueError(f"{_name(path)}: nothing is left to learn from beside the held-out part")
    known = _known(examples)
    counts = Counts(
        own_negatives=_n_negatives(read) - _n_negatives(examples),
        known_negatives=sum(n in known[e.anchor] for e in examples for n in e.negatives),
        spelled_otherwise=n_respelled,
        unknown_documents=sum(part.n_unknown_documents for part in judged),
        unknown_queries=sum(part.n_unknown_queries for part in judged),
        unknown_negatives=len(unknown),
        contradicting=sum(part.n_contradicting for part in judged),
        without_negatives=_n_without(kept),
    )
    return TrainingData(kept, known, held_out, counts)


def _name(path: str | Path | Dataset) -> str:
    return "the collection" if isinstance(path, Dataset) else repr(str(path))


def _read(
    path: str | Path | Dataset, split: str, fields: Fields, unknown: set[str]
) -> tuple[Dataset, list[Example]]:
    """Return what is measured on and what is learned from, before any of it is set apart."""
    if isinstance(path, Dataset):
        return path, list(judged_examples(path, {}, _name(path)))
    if not Path(path).is_dir():
        examples = read_triples(path, fields)
        return _as_dataset(examples), examples
    if fields != Fields():
        raise ValueError(f"fields are named for a file, but {_name(path)} is a folder")
    dataset = read_beir(path, split)
    return dataset, list(read_beir_examples(Path(path), split, dataset, unknown))


def _read_dev(path: str | Path | Dataset, split: str) -> Dataset:
    if isinstance(path, Dataset) or not Path(path).is_dir():
        raise ValueError(f"dev_split needs a BEIR folder, but {_name(path)} is not a folder")
    return read_beir(path, split)


def _as_dataset(examples: list[Example]) -> Dataset:
    """Return triples as a collection: all their documents, each query judged by its positives."""
    texts = dict.fromkeys(
        text for example in examples for text in (example.positive, *example.negatives)
    )
    ids = {text: str(number) for number, text in enumerate(texts)}
    judgements: dict[str, dict[str, int]] = {}
    for example in examples:
        judgements.setdefault(example.anchor, {})[ids[example.positive]] = 1
    corpus = {id: text for text, id in ids.items()}
    return Dataset(corpus, {anchor: anchor for anchor in judgements}, judgements)


def _held_out(dataset: Dataset, anchors: set[str], share: float, seed: int) -> Dataset | None:
    """Return the collection with a part of its queries, all spellings of one together."""
    chosen = choose_held_out(anchors, share, seed)
    if not chosen:
        return None
    queries = {id: text for id, text in dataset.queries.items() if spelling(text) in chosen}
    return Dataset(dataset.corpus, queries, {id: dataset.judgements[id] for id in queries})


def _without(examples: list[Example], held_out: Dataset | None) -> tuple[list[Example], int]:
    """Return the examples whose query is not held out, and how many of another spelling are."""
    if held_out is None:
        return examples, 0
    texts = set(held_out.queries.values())
    unseen = {spelling(text) for text in texts}
    others = [example for example in examples if example.anchor not in texts]
    kept = [example for example in others if spelling(example.anchor) not in unseen]
    return kept, len(others) - len(kept)


def _n_negatives(examples: Iterable[Example]) -> int:
    return sum(len(example.negatives) for example in examples)


def _n_without(examples: Iterable[Example]) -> int:
    return sum(not example.negatives for example in examples)


def _sha256(rows: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def _known(examples: Iterable[Example]) -> dict[str, frozenset[str]]:
    known: dict[str, set[str]] = {}
    for example in examples:
        known.setdefault(example.anchor, set()).add(example.positive)
    return {anchor: frozenset(texts) for anchor, texts in known.items()}
