"""What a document is about in few vectors, from which a search over all picks its candidates.

Nothing is learned from the collection: a document's outlines depend on its own tokens alone, so
that additions never make them stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glane.codes import CodedVectors, CodeKind, TokenCodes, concatenate, encode, load
from glane.pooling import Clusters, clusters, each_text, normalised, pool, ward
from glane.types import Floats
from glane.vectors import Rows, TokenVectors, join_lengths

SPREAD = 0.05
"""How much nearer than a cluster's mean its nearest token is, by spread and size of the cluster.

Chosen on scifact's train queries, where it is worth as much as half as many clusters again.
"""


class Level(NamedTuple):
    """One pass over outlines.

    Attributes:
        n_vectors: Of a document at most, where not 0.
        factor: Tokens of a document for one vector, where `n_vectors` is 0.
        query_factor: Tokens of a query for one vector.
        share: One document in `share` goes on to the next pass, ...
        least: ... but this many at least, for k up to 100; in proportion for a higher k.
    """

    n_vectors: int
    factor: int
    query_factor: int
    share: int
    least: int

    def keeps(self, n_documents: int, k: int) -> int:
        """Return how many documents go on to the next pass."""
        return max(self.least * max(k, 100) // 100, n_documents // self.share)


LEVELS = (Level(16, 0, 4, 8, 1000), Level(0, 4, 2, 40, 250))


@dataclass(frozen=True, slots=True, eq=False)
class DocumentVectors:
    """What is stored of n documents.

    Attributes:
        tokens: Their token vectors, perhaps pooled.
        outlines: For each of `LEVELS` vectors of width dim + 1; none where only reranked.
    """

    tokens: TokenCodes
    outlines: tuple[CodedVectors, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Rows) -> DocumentVectors:
        """Return some documents, by slice or by an array of row numbers, in the order given."""
        return DocumentVectors(self.tokens[rows], tuple(each[rows] for each in self.outlines))

    @classmethod
    def concatenate(cls, parts: Sequence[DocumentVectors]) -> DocumentVectors:
        """Return the documents of all parts, in order; at least one part, all made alike."""
        levels = zip(*(part.outlines for part in parts), strict=True)
        return cls(
            concatenate([part.tokens for part in parts]),
            tuple(CodedVectors.concatenate(level) for level in levels),
        )

    def save(self, folder: str | Path) -> None:
        """Write the arrays into a folder, and into one more for each outline."""
        self.tokens.save(folder)
        for level, outline in enumerate(self.outlines):
            outline.save(Path(folder) / f"outline-{level}")

    @classmethod
    def load(cls, folder: str | Path, kind: CodeKind, *, outlines: bool) -> DocumentVectors:
        """Map what `save` wrote.

        Raises:
            CheckpointError: If a file is missing or damaged.
        """
        levels = range(len(LEVELS)) if outlines else ()
        return cls(
            load(folder, kind),
            tuple(CodedVectors.load(Path(folder) / f"outline-{level}") for level in levels),
        )


def document_vectors(
    vectors: TokenVectors, kind: CodeKind, pooled_by: int, *, outlines: bool
) -> DocumentVectors:
    """Return what is stored of documents.

    Args:
        vectors: Of length 1, any number of tokens each, none included.
        kind: How token vectors are stored.
        pooled_by: Tokens for one stored vector, at least 1.
        outlines: Whether outlines are made.
    """
    tokens = encode(pool(vectors, pooled_by), kind)
    return DocumentVectors(tokens, _outlines(vectors) if outlines else ())


def condensed(queries: TokenVectors, factor: int) -> TokenVectors:
    """Return queries with about one vector for `factor` tokens, for scoring with outlines.

    Tokens that look for much the same are looked for as one: their sum, whose last component is
    their number, since each of them gains what an outline's last component says.

    Args:
        queries: Any number of tokens each, none included.
        factor: At least 1.

    Returns:
        float32, width dim + 1.
    """
    groups = [clusters(row, ward(row), -(-len(row) // factor)) for row in each_text(queries)]
    rows = [
        np.concatenate([group.means, np.ones((len(group.means), 1), np.float32)], axis=1)
        * group.sizes[:, None]
        for group in groups
    ]
    return _ragged(rows, queries.dim + 1)


def _outlines(vectors: TokenVectors) -> tuple[CodedVectors, ...]:
    rows: list[list[Floats]] = [[] for _ in LEVELS]
    for values in each_text(vectors):
        merges = ward(values)
        for level, made in zip(LEVELS, rows, strict=True):
            n_clusters = level.n_vectors or -(-len(values) // level.factor)
            made.append(_outline(clusters(values, merges, n_clusters)))
    coded = [encode(_ragged(made, vectors.dim + 1), "int8") for made in rows]
    return tuple(each for each in coded if isinstance(each, CodedVectors))


def _outline(groups: Clusters) -> Floats:
    """Return a vector a cluster: the direction of its mean, and how far its tokens reach beyond.

    q · token is estimated by q · mean / |mean| + SPREAD · sqrt(1 - |mean|²) · log n for the nearest
    of the cluster's n tokens; 1 - |mean|² is their variance.
    """
    squares = np.einsum("ij,ij->i", groups.means, groups.means)
    reach = SPREAD * np.sqrt(np.maximum(1 - squares, 0)) * np.log(groups.sizes)
    return np.concatenate([normalised(groups.means), reach[:, None]], axis=1)


def _ragged(rows: list[Floats], dim: int) -> TokenVectors:
    """Lay rows back to back."""
    return TokenVectors(
        join_lengths([len(row) for row in rows]),
        np.concatenate([np.empty((0, dim), np.float32), *rows]),
    )
