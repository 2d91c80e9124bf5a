"""Searches documents that `glane push qdrant` wrote to Qdrant, with the index's encoders.

>>> from glane.integrations.qdrant import QdrantSearch  # doctest: +SKIP
>>> search = QdrantSearch("http://localhost:6333", "documents", "index")  # doctest: +SKIP
>>> search.search(["how do plants eat light"], k=3).to_lists()  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from glane.hits import Key, Results
from glane.integrations import missing
from glane.integrations.pushed import WIDER, Found, Pushed, best_of_documents, ranked, width
from glane.model.preparation import check_texts
from glane.retrievers.fusion import RRF_RANK, Fuse, FusionSettings, Ranking
from glane.search import Search
from glane.vectors import SparseVectors, TokenVectors

try:
    from qdrant_client import QdrantClient, models
except ModuleNotFoundError as error:
    raise missing("qdrant-client", "qdrant_client", error) from None

OWN = "glane"
"""Field of a point's payload, and of a collection's metadata, that says what glane knows of it."""

TOKENS = "colbert"
"""Name of the multivector; that of the sparse one is the retriever's kind."""

AT_ONCE = 16
"""Queries that are sent in one request."""

SECONDS = 60
"""That a request may take."""


class QdrantSearch:
    """Searches a collection as `Search` does its index, with the same ids, order and scores.

    Where every document is one point and the collection one shard, a search is one request:
    candidates by their terms, MaxSim over them, both fused by Qdrant's formula, in glane's order.
    Elsewhere the passages of the candidates are asked for by a second request, and fused here.

    Attributes:
        client: Of Qdrant.
        collection: Its name.
        pushed: The index, whose encoders read the queries.
        in_one: Whether a search is one request.
    """

    def __init__(
        self,
        client: str | QdrantClient,
        collection: str,
        index: str | Path | Search,
        threads: int | None = None,
    ) -> None:
        """Open both.

        Args:
            client: Of Qdrant, or what `connect` takes.
            collection: Its name.
            index: The index that was pushed: its models and vocabulary are read.
            threads: Threads to encode with; by default what the process may use.

        Raises:
            CheckpointError: If the index is missing or damaged.
            ValueError: If no engine can hold such an index, or the collection holds another one,
                another state of it, or a part.
        """
        self.client = connect(client) if isinstance(client, str) else client
        self.collection = collection
        self.pushed = Pushed(index, threads)
        held = held_by(self.client, collection)
        self.pushed.check(held, f"the collection {collection!r}")
        self.in_one = bool(held and held["points"] == held["documents"]) and (
            (self.client.get_collection(collection).config.params.shard_number or 1) == 1
        )

    def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        candidates: int | None = None,
        fuse: Fuse | None = None,
        fuse_weight: float | None = None,
        filter: models.Filter | None = None,
    ) -> Results:
        """Return the k best documents for each query; see `Search.search`.

        Args:
            queries: Any strings.
            k: Documents wanted per query, at least 1.
            candidates: Documents that are found by their terms to be reranked, at least 1.
            fuse: How both rankings are joined.
            fuse_weight: Share of the first, in [0, 1].
            filter: Qdrant's, over the fields of the documents; which may be found.

        Raises:
            TypeError: If `queries` is one string, or holds something else than strings.
            ValueError: If a number is out of range, or fusion is asked for without a reranker.
        """
        texts = check_texts(queries, "queries")
        how = self.pushed.ranking(FusionSettings(fuse, fuse_weight, candidates))
        wide = width(k, how)
        rows = []
        for start in range(0, len(texts), AT_ONCE):
            some = texts[start : start + AT_ONCE]
            terms = sparse_rows(self.pushed.terms(some))
            if self.pushed.reranker is None:
                found = self._documents(terms, k, filter)
                rows += [ranked(each, None, k, how) for each in found]
                continue
            tokens = token_rows(self.pushed.tokens(some))
            if self.in_one:
                rows += self._in_one(terms, tokens, (k, wide), how, filter)
                continue
            first = self._documents(terms, wide, filter)
            second = self._passages(tokens, first)
            rows += [ranked(*both, k, how) for both in zip(first, second, strict=True)]
        return Results([ids for ids, _ in rows], [scores for _, scores in rows])

    def documents(self, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """Return the fields of documents, as they were pushed.

        Raises:
            ValueError: If an id is unknown.
        """
        wanted = list(keys)
        ids = [point_id(key) for key in wanted]
        records = self.client.retrieve(self.collection, ids, with_payload=True)
        found = {str(record.id): dict(record.payload or {}) for record in records}
        for key, own in zip(wanted, ids, strict=True):
            if own not in found:
                raise ValueError(f"unknown document {key!r}")
        return [{n: v for n, v in found[own].items() if n != OWN} for own in ids]

    def _documents(
        self,
        terms: Sequence[models.SparseVector],
        wanted: int,
        filter: models.Filter | None,
    ) -> list[list[Found]]:
        """Return the documents of the best sparse vectors; of few documents, more are asked for."""
        rows: list[list[Found]] = [[] for _ in terms]
        limit, open_rows = wanted, [row for row, own in enumerate(terms) if own.indices]
        while open_rows:
            found = self._ask([self._first(terms[row], limit, filter) for row in open_rows])
            for row, own in zip(open_rows, found, strict=True):
                rows[row] = list(best_of_documents(own).values())[:wanted]
            open_rows = [
                row
                for row, own in zip(open_rows, found, strict=True)
                if len(own) == limit and len(rows[row]) < wanted
            ]
            limit *= WIDER
        return rows

    def _passages(
        self, tokens: Sequence[list[list[float]]], first: Sequence[Sequence[Found]]
    ) -> list[list[Found]]:
        """Return all passages of some documents, by MaxSim."""
        requests = []
        for query, found in zip(tokens, first, strict=True):
            ids: list[int | str | UUID] = [
                point_id(each.key, place) for each in found for place in range(each.n_points)
            ]
            if ids:
                only = models.Filter(must=models.HasIdCondition(has_id=ids))
                requests.append(request(query, TOKENS, len(ids), filter=only))
        answers = iter(self._ask(requests))
        return [next(answers) if found else [] for found in first]

    def _in_one(
        self,
        terms: Sequence[models.SparseVector],
        tokens: Sequence[list[list[float]]],
        sizes: tuple[int, int],
        how: Ranking,
        filter: models.Filter | None,
    ) -> list[tuple[list[Key], list[float]]]:
        """Return the best documents of each query, all of it done by Qdrant."""
        requests = []
        for own, query in zip(terms, tokens, strict=True):
            if own.indices:
                first = models.Prefetch(
                    query=own, using=self.pushed.retriever.kind, limit=sizes[1], filter=filter
                )
                requests.append(fused_request(first, query, sizes, how))
        answers = iter(self._ask(requests))
        found = [next(answers) if own.indices else [] for own in terms]
        ordered = [sorted(row, key=lambda each: (-each.score, each.number)) for row in found]
        return [([each.key for each in row], [each.score for each in row]) for row in ordered]

    def _first(
        self, terms: models.SparseVector, limit: int, filter: models.Filter | None
    ) -> models.QueryRequest:
        return request(terms, self.pushed.retriever.kind, limit, filter=filter)

    def _ask(self, requests: Sequence[models.QueryRequest]) -> list[list[Found]]:
        if not requests:
            return []
        answers = self.client.query_batch_points(self.collection, list(requests))
        return [[found_of(point) for point in answer.points] for answer in answers]


def request(query: Any, using: str, limit: int, **more: Any) -> models.QueryRequest:  # noqa: ANN401
    """Return a request for the nearest points, with what glane knows of each."""
    return models.QueryRequest(query=query, using=using, limit=limit, with_payload=[OWN], **more)


def fused_request(
    first: models.Prefetch, tokens: list[list[float]], sizes: tuple[int, int], how: Ranking
) -> models.QueryRequest:
    """Return the request by which Qdrant ranks a query as glane does.

    `relative`: Qdrant's distribution-based fusion of one ranking alone gives each score x as
    (x - mean + 3 s) / 6 s, s the deviation over n - 1, where glane has the one over n: 6 times
    that, less 3, is glane's standardised score times sqrt((n - 1) / n), in the same order.
    `rrf`: that of one ranking alone, with a constant of 61, is glane's 1 / (60 + rank).

    Args:
        first: Finds the candidates.
        tokens: Of the query.
        sizes: How many documents are wanted, and how many candidates.
        how: How the stages are joined.
    """
    k, wide = sizes
    if how.fuse == "none":
        return request(tokens, TOKENS, k, prefetch=[first])
    second = models.Prefetch(query=tokens, using=TOKENS, limit=wide, prefetch=[first])
    alone: Any = models.FusionQuery(fusion=models.Fusion.DBSF)
    factor, less = 6.0, 3.0
    if how.fuse == "rrf":
        alone, factor, less = models.RrfQuery(rrf=models.Rrf(k=RRF_RANK + 1)), 1.0, 0.0
    scaled = [models.Prefetch(query=alone, prefetch=[one], limit=wide) for one in (first, second)]
    shares = (factor * how.fuse_weight, factor * (1 - how.fuse_weight))
    products = [
        models.MultExpression(mult=[share, f"$score[{place}]"])
        for place, share in enumerate(shares)
    ]
    joined = models.FormulaQuery(
        formula=models.SumExpression(sum=[*products, -less]),
        defaults={"$score[0]": 0.0, "$score[1]": 0.0},
    )
    return models.QueryRequest(query=joined, prefetch=scaled, limit=k, with_payload=[OWN])


def connect(url: str) -> QdrantClient:
    """Return a client of a server, or of Qdrant's local mode.

    Args:
        url: `http://...` or `https://...`, `:memory:`, or a folder for the local mode. The
            environment's QDRANT_API_KEY is sent to a server.
    """
    if url == ":memory:":
        return QdrantClient(":memory:")
    if url.startswith(("http://", "https://")):
        key = os.environ.get("QDRANT_API_KEY")
        return QdrantClient(url=url, api_key=key, timeout=SECONDS, check_compatibility=False)
    return QdrantClient(path=url)


def held_by(client: QdrantClient, collection: str) -> dict[str, Any] | None:
    """Return what `glane push` noted of a collection; None where there is none, or no note.

    Args:
        client: Of Qdrant.
        collection: Its name.
    """
    if not client.collection_exists(collection):
        return None
    metadata = client.get_collection(collection).config.metadata or {}
    held = metadata.get(OWN)
    return dict(held) if isinstance(held, dict) else None


def point_id(key: Key, place: int = 0) -> str:
    """Return the id of a passage's point, which depends on nothing else.

    Args:
        key: The document's id; a number and the text of its digits are two.
        place: The passage's, from 0.
    """
    kind = "i" if isinstance(key, int) else "s"
    text = f"{kind}{place}:{key}".encode("utf-8", "surrogatepass")
    return str(UUID(bytes=blake2b(text, digest_size=16).digest()))


def found_of(point: models.ScoredPoint) -> Found:
    """Return which document an answer's point is of."""
    own = (point.payload or {})[OWN]
    return Found(own["number"], own["id"], own["points"], point.score)


def sparse_rows(vectors: SparseVectors) -> list[models.SparseVector]:
    """Return each row as Qdrant has it."""
    return [
        models.SparseVector(
            indices=vectors.indices[start:stop].tolist(), values=vectors.values[start:stop].tolist()
        )
        for start, stop in pairwise(vectors.indptr.tolist())
    ]


def token_rows(vectors: TokenVectors) -> list[list[list[float]]]:
    """Return each row as Qdrant has it."""
    return [
        vectors.values[start:stop].tolist() for start, stop in pairwise(vectors.offsets.tolist())
    ]
