"""Which queries are held out, the collection they are measured in, and what a model confuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from glane.collection.dataset import Dataset
from glane.model.framing import plain_tokenizer
from glane.model.preparation import TextPreparer
from glane.types import Mask
from glane_trainer.examples import evenly
from glane_trainer.many import Examples

MOST_QUERIES = 2_000
"""Queries that are held out of files at most: more would be withheld, and measured by nobody."""

MOST_EXAMPLES, MOST_DOCUMENTS = 20_000, 50_000
"""Examples of files whose documents are searched, and documents: of more, so many evenly chosen."""

UNKNOWN = ("[UNK]", "<unk>")


def choose(examples: Examples, share: float, seed: int, among: Mask | None = None) -> Mask:
    """Return which examples are held out: all of some queries, in all their spellings.

    Args:
        examples: To learn from.
        share: Of the distinct queries, in [0, 1); above 0 at least one is held out, where there
            are two, and at most `MOST_QUERIES`.
        seed: Decides which, with the order of the examples.
        among: Which examples' queries may be held out, shape (n_examples,); None for all.
    """
    n_all = int(examples.queries.max(initial=-1)) + 1
    allowed = np.arange(n_all) if among is None else np.unique(examples.queries[among])
    n_queries = len(allowed)
    n_held_out = min(round(share * n_queries), MOST_QUERIES)
    if share and not n_held_out and n_queries > 1:
        n_held_out = 1
    chosen = np.zeros(n_all, bool)
    chosen[allowed[np.random.default_rng([seed, 0]).permutation(n_queries)[:n_held_out]]] = True
    return chosen[examples.queries]


def as_dataset(examples: Examples, held_out: Mask) -> Dataset:
    """Return held-out examples as a collection: their queries are judged by their positives.

    Args:
        examples: Of files.
        held_out: Which of them are held out, shape (n_examples,). The documents of the others are
            searched as well, see `MOST_EXAMPLES`.
    """
    searched = list(evenly(range(len(examples)), MOST_EXAMPLES))
    rows = np.union1d(searched, np.flatnonzero(held_out))
    ids: dict[str, str] = {}
    judgements: dict[str, dict[str, int]] = {}
    for row in rows.tolist():
        if held_out[row] or len(ids) < MOST_DOCUMENTS:
            example = examples[row]
            for text in (example.positive, *example.negatives):
                ids.setdefault(text, str(len(ids)))
            if held_out[row]:
                judgements.setdefault(example.anchor, {})[ids[example.positive]] = 1
    corpus = {id: text for text, id in ids.items()}
    return Dataset(corpus, {anchor: anchor for anchor in judgements}, judgements)


def restricted(dataset: Dataset, ids: Collection[str]) -> Dataset:
    """Return a collection with some of its queries."""
    queries = {id: text for id, text in dataset.queries.items() if id in ids}
    return Dataset(dataset.corpus, queries, {id: dataset.judgements[id] for id in queries})


def joined(datasets: Sequence[Dataset]) -> Dataset | None:
    """Return several collections as one, None of none; each is searched with all documents."""
    if len(datasets) < 2:
        return datasets[0] if datasets else None
    whole = Dataset({}, {}, {})
    for number, part in enumerate(datasets):
        whole.corpus.update({f"{number}:{id}": text for id, text in part.corpus.items()})
        whole.queries.update({f"{number}:{id}": text for id, text in part.queries.items()})
        for id, grades in part.judgements.items():
            named = {f"{number}:{document}": grade for document, grade in grades.items()}
            whole.judgements[f"{number}:{id}"] = named
    return whole


def token_keys(queries: Sequence[str], preparer: TextPreparer) -> list[bytes]:
    """Return what a model sees of each query: its token ids, cut as the model cuts them."""
    return [row.tobytes() for row in preparer.tokenize(queries, "query").rows]


def read_as_held_out(
    anchors: Collection[str], held_out: Collection[str], preparer: TextPreparer
) -> set[str]:
    """Return the queries that a model cannot tell from a held-out one: its token ids are theirs."""
    unseen = set(token_keys(list(held_out), preparer))
    distinct = list(dict.fromkeys(anchors))
    keys = token_keys(distinct, preparer)
    return {anchor for anchor, key in zip(distinct, keys, strict=True) if key in unseen}


def told_apart_by_spelling(queries: Mapping[str, str], preparer: TextPreparer) -> list[str]:
    """Return the ids of the queries whose token ids no query of another spelling can have.

    A model reads two spellings alike only where it cuts them, or has no token for a part.
    """
    tokenizer = plain_tokenizer(preparer.tokenizer_json.encode())
    unknown = [n for name in UNKNOWN if (n := tokenizer.token_to_id(name)) is not None]
    apart = []
    for id, text in queries.items():
        tokens = preparer.tokenize([text], "query")
        if not tokens.n_truncated and not np.isin(tokens.rows[0], unknown).any():
            apart.append(id)
    return apart
