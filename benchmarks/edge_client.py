"""Qdrant's own engine in this process, behind the calls of `qdrant_client` that glane makes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import qdrant_edge as edge
from qdrant_client import models

DATATYPES = {
    models.Datatype.FLOAT32: edge.VectorStorageDatatype.Float32,
    models.Datatype.FLOAT16: edge.VectorStorageDatatype.Float16,
}


class EdgeClient:
    """Collections, each a shard of Qdrant Edge in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Keep the shards in a folder."""
        self.folder = folder
        self.shards: dict[str, edge.EdgeShard] = {}
        self.configs: dict[str, SimpleNamespace] = {}

    def collection_exists(self, name: str) -> bool:
        """Return whether there is such a collection."""
        return name in self.shards

    def create_collection(
        self,
        name: str,
        vectors_config: dict[str, models.VectorParams],
        sparse_vectors_config: dict[str, models.SparseVectorParams],
    ) -> None:
        """Make one."""
        config = edge.EdgeConfig(
            vectors={vector: _dense(params) for vector, params in vectors_config.items()},
            sparse_vectors={
                vector: edge.EdgeSparseVectorParams() for vector in sparse_vectors_config
            },
        )
        folder = self.folder / name
        folder.mkdir(parents=True)
        self.shards[name] = edge.EdgeShard.create(str(folder), config)
        params = SimpleNamespace(
            vectors=vectors_config, sparse_vectors=sparse_vectors_config, shard_number=1
        )
        self.configs[name] = SimpleNamespace(params=params, metadata={})

    def create_payload_index(self, name: str, field: str, kind: models.PayloadSchemaType) -> None:
        """Index a field of keywords."""
        made = edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword)
        self.shards[name].update(made)

    def get_collection(self, name: str) -> Any:  # noqa: ANN401
        """Return what it is made of."""
        return SimpleNamespace(config=self.configs[name])

    def update_collection(self, name: str, metadata: dict[str, Any]) -> None:
        """Note something beside the points."""
        self.configs[name].metadata |= metadata

    def upsert(self, name: str, points: list[models.PointStruct], wait: bool) -> None:
        """Write points."""
        made = [
            edge.Point(UUID(str(point.id)), _vectors(point.vector), point.payload)
            for point in points
        ]
        self.shards[name].update(edge.UpdateOperation.upsert_points(made))

    def retrieve(
        self,
        name: str,
        ids: list[str],
        with_payload: bool | list[str],
        with_vectors: bool = False,
    ) -> list[Any]:
        """Return the points of some ids."""
        return list(self.shards[name].retrieve(list(map(UUID, ids)), with_payload, with_vectors))

    def count(self, name: str, count_filter: models.Filter, exact: bool) -> Any:  # noqa: ANN401
        """Return how many points keep a filter."""
        wanted = edge.CountRequest(exact=exact, filter=_filter(count_filter))
        return SimpleNamespace(count=self.shards[name].count(wanted))

    def delete(self, name: str, selector: models.FilterSelector, wait: bool) -> None:
        """Delete the points that keep a filter."""
        found = _filter(selector.filter)
        self.shards[name].update(edge.UpdateOperation.delete_points_by_filter(found))

    def query_batch_points(self, name: str, requests: list[models.QueryRequest]) -> list[Any]:
        """Answer queries."""
        return [
            SimpleNamespace(points=self.shards[name].query(_request(request)))
            for request in requests
        ]

    def close(self) -> None:
        """Write all of it to the disk."""
        for shard in self.shards.values():
            shard.close()


def _dense(params: models.VectorParams) -> edge.EdgeVectorParams:
    multi = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    quantization = None
    if params.quantization_config is not None:
        quantization = edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
    return edge.EdgeVectorParams(
        params.size,
        edge.Distance.Dot,
        multivector_config=multi,
        datatype=DATATYPES[params.datatype],
        hnsw_config=edge.HnswIndexConfig(0, 16, 10000),
        quantization_config=quantization,
        on_disk=True,
    )


def _vectors(vectors: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: _vector(vector) for name, vector in vectors.items()}


def _vector(vector: Any) -> Any:  # noqa: ANN401
    if isinstance(vector, models.SparseVector):
        return edge.SparseVector(vector.indices, vector.values)
    return vector


def _filter(wanted: models.Filter | None) -> edge.Filter | None:
    if wanted is None:
        return None
    return edge.Filter(
        must=_conditions(wanted.must),
        must_not=_conditions(wanted.must_not),
    )


def _conditions(given: Any) -> list[Any] | None:  # noqa: ANN401 (one, several, or none)
    several = given if isinstance(given, list) else [] if given is None else [given]
    return [_condition(each) for each in several] or None


def _condition(condition: Any) -> Any:  # noqa: ANN401
    match condition:
        case models.HasIdCondition():
            return edge.HasIdCondition({UUID(str(each)) for each in condition.has_id})
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(condition.is_empty.key)
        case models.FieldCondition(match=models.MatchValue()):
            return edge.FieldCondition(condition.key, edge.MatchValue(condition.match.value))
    raise TypeError(f"no counterpart of {condition!r}")


def _query(query: Any, using: str | None) -> Any:  # noqa: ANN401
    match query:
        case models.FusionQuery():
            return edge.Fusion.Dbsf()
        case models.RrfQuery():
            return edge.Fusion.Rrf(query.rrf.k)
        case models.FormulaQuery():
            return edge.Formula(_expression(query.formula), query.defaults)
    return edge.Query.Nearest(_vector(query), using)


def _expression(part: Any) -> Any:  # noqa: ANN401
    match part:
        case models.SumExpression():
            return edge.Expression.Sum([_expression(each) for each in part.sum])
        case models.MultExpression():
            return edge.Expression.Mult([_expression(each) for each in part.mult])
        case str():
            return edge.Expression.Variable(part)
    return edge.Expression.Constant(float(part))


def _prefetches(given: Any) -> list[edge.Prefetch] | None:  # noqa: ANN401
    return [
        edge.Prefetch(
            each.limit,
            query=_query(each.query, each.using),
            prefetches=_prefetches(each.prefetch),
            filter=_filter(each.filter),
        )
        for each in given or []
    ] or None


def _request(request: models.QueryRequest) -> edge.QueryRequest:
    return edge.QueryRequest(
        request.limit,
        query=_query(request.query, request.using),
        prefetches=_prefetches(request.prefetch),
        filter=_filter(request.filter),
        with_payload=request.with_payload,
    )
