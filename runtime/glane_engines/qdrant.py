"""`glane push qdrant`: an index's documents as the points of a collection."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from glane.integrations.pushed import Pushed
from glane.integrations.qdrant import OWN, TOKENS, connect, point_id, sparse_rows
from glane.maxsim.quantization import decoded
from glane.model.progress import bar, telling
from glane_engines.contents import Entry, content, entries, n_points

SENT_NUMBERS = 1 << 20
"""Numbers of vectors in one request: as JSON some 20 MB, where a server takes 32."""

STATE = f"{OWN}.state"
"""Field of the payload that says of which state of which index a point is."""

DATATYPES = {"float32": models.Datatype.FLOAT32, "float16": models.Datatype.FLOAT16}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Push an index, or go on with it."""
    pushed = Pushed(arguments.index, arguments.threads)
    vectors = vectors_of(pushed, arguments.token_vectors, quantized=arguments.quantized)
    try:
        with telling(f"connecting to {arguments.place}"):
            client = connect(arguments.place)
        try:
            done = push(client, arguments.name, pushed, vectors)
        finally:
            client.close()
    except (ApiException, QdrantException) as error:
        raise OSError(f"Qdrant at {arguments.place}: {error}") from error
    return {"place": arguments.place, "name": arguments.name, **done}


def vectors_of(pushed: Pushed, datatype: str, *, quantized: bool = False) -> dict[str, Any]:
    """Return the vectors of a collection, as `create_collection` takes them.

    Token vectors have no graph: they only order candidates, and lie on the disk.

    Args:
        pushed: The index.
        datatype: One of `DATATYPES`, for token vectors.
        quantized: Whether Qdrant makes bytes of them, to score by.
    """
    tokens: dict[str, models.VectorParams] = {}
    if pushed.reranker is not None:
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
        tokens[TOKENS] = models.VectorParams(
            size=pushed.reranker.index.dim,
            distance=models.Distance.DOT,
            multivector_config=models.MultiVectorConfig(
                comparator=models.MultiVectorComparator.MAX_SIM
            ),
            hnsw_config=models.HnswConfigDiff(m=0),
            datatype=DATATYPES[datatype],
            quantization_config=models.ScalarQuantization(scalar=scalar) if quantized else None,
            on_disk=True,
        )
    return {
        "vectors_config": tokens,
        "sparse_vectors_config": {pushed.retriever.kind: models.SparseVectorParams()},
    }


def push(
    client: QdrantClient, collection: str, pushed: Pushed, vectors: dict[str, Any]
) -> dict[str, int]:
    """Write an index's documents into a collection, so that it holds these alone of glane's.

    A point that is there already as it would be written is left alone: stopped, a push goes on.

    Args:
        client: Of Qdrant.
        collection: Made where it is missing.
        pushed: The index.
        vectors: From `vectors_of`.

    Returns:
        How many `documents` and `points` it holds, how many documents were `written`, and how
        many points were `deleted`.

    Raises:
        ValueError: If the collection is there with other vectors.
    """
    _prepare(client, collection, vectors)
    size = {"documents": len(pushed.search), "points": n_points(pushed)}
    held = {**size, "state": pushed.state}
    _note(client, collection, {**held, "finished": False})
    n_written, n_sent, points = 0, 0, list[models.PointStruct]()
    with bar(size["documents"], "pushing") as shown:
        for some in entries(pushed):
            for entry in _missing(client, collection, pushed.state, some):
                n_written += 1
                for point, n_numbers in _points(pushed, entry):
                    if points and n_sent + n_numbers > SENT_NUMBERS:
                        client.upsert(collection, points, wait=True)
                        points, n_sent = [], 0
                    points.append(point)
                    n_sent += n_numbers
            shown.update(len(some))
    if points:
        client.upsert(collection, points, wait=True)
    n_deleted = _delete_others(client, collection, pushed.state)
    _note(client, collection, {**held, "finished": True})
    return {**size, "written": n_written, "deleted": n_deleted}


def _prepare(client: QdrantClient, collection: str, vectors: dict[str, Any]) -> None:
    """Make the collection, or refuse one that has other vectors."""
    if not client.collection_exists(collection):
        client.create_collection(collection, **vectors)
        with warnings.catch_warnings(action="ignore"):  # the local mode says that it needs none
            client.create_payload_index(collection, STATE, models.PayloadSchemaType.KEYWORD)
        return
    params = client.get_collection(collection).config.params
    wanted = _told(vectors["vectors_config"], vectors["sparse_vectors_config"])
    there = _told(params.vectors, params.sparse_vectors)
    if wanted != there:
        raise ValueError(
            f"the collection {collection!r} has the vectors {there}, and the index needs {wanted}; "
            "push into another, or delete it"
        )


def _told(vectors: Any, sparse: Any) -> dict[str, str]:  # noqa: ANN401 (of several shapes)
    """Return what must be the same, by the names of the vectors, in words."""
    if isinstance(vectors, models.VectorParams):
        vectors = {"": vectors}
    dense = {name: _words(own) for name, own in (vectors or {}).items()}
    return {**dense, **dict.fromkeys(sparse or {}, "sparse")}


def _words(params: models.VectorParams) -> str:
    datatype = params.datatype or models.Datatype.FLOAT32
    quantized = ", quantized" if params.quantization_config else ""
    return f"{params.size} of {datatype.value}, {params.distance.value}{quantized}"


def _note(client: QdrantClient, collection: str, held: dict[str, Any]) -> None:
    """Write beside the documents what the collection holds, or is going to."""
    client.update_collection(collection, metadata={OWN: held})


def _missing(
    client: QdrantClient, collection: str, state: str, some: Sequence[Entry]
) -> list[Entry]:
    """Return the documents of which a point is not there as it would be written."""
    ids = [[point_id(entry.key, place) for place in range(entry.n_points)] for entry in some]
    every = [own for each in ids for own in each]
    records = client.retrieve(collection, every, with_payload=[OWN], with_vectors=False)
    there = {
        str(record.id)
        for record in records
        if ((record.payload or {}).get(OWN) or {}).get("state") == state
    }
    return [entry for entry, own in zip(some, ids, strict=True) if not there.issuperset(own)]


def _points(pushed: Pushed, entry: Entry) -> Iterator[tuple[models.PointStruct, int]]:
    """Yield the points of a document, one a passage, and how many numbers each has."""
    own = content(pushed, entry)
    terms = sparse_rows(own.terms)
    noted = {
        "state": pushed.state,
        "id": entry.key,
        "number": entry.number,
        "points": entry.n_points,
    }
    for place in range(entry.n_points):
        vector: dict[str, Any] = {}
        if place < len(terms) and terms[place].indices:
            vector[pushed.retriever.kind] = terms[place]
        tokens = np.empty((0, 0), np.float32)
        if place < len(own.tokens):
            tokens = decoded(own.tokens[place]).values
        if len(tokens):
            vector[TOKENS] = tokens.tolist()
        payload = {**own.fields, OWN: {**noted, "place": place}}
        point = models.PointStruct(id=point_id(entry.key, place), vector=vector, payload=payload)
        yield point, tokens.size + (len(terms[place].indices) if place < len(terms) else 0)


def _delete_others(client: QdrantClient, collection: str, state: str) -> int:
    """Delete the points of glane's that are of another state, and return how many there were."""
    others = models.Filter(
        must_not=[
            models.FieldCondition(key=STATE, match=models.MatchValue(value=state)),
            models.IsEmptyCondition(is_empty=models.PayloadField(key=STATE)),
        ]
    )
    n_others = client.count(collection, count_filter=others, exact=True).count
    if n_others:
        client.delete(collection, models.FilterSelector(filter=others), wait=True)
    return n_others
