"""`glane push elasticsearch` and `opensearch`: mapping, documents in bulk format, and a query.

Written for Elasticsearch 9.0 and OpenSearch 3.3, and run on neither here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glane.integrations.pushed import Pushed
from glane_engines.contents import Content, Entry, check_ids
from glane_engines.files import (
    QUERY,
    STATE,
    TOKENS,
    named_terms,
    token_lists,
    write_documents,
    write_json,
)

VERSIONS = {"elasticsearch": "9.0", "opensearch": "3.3"}
"""What the files were written for."""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the files."""
    pushed = Pushed(arguments.index, arguments.threads)
    return write(pushed, arguments.engine, Path(arguments.folder))


def write(pushed: Pushed, engine: str, folder: Path) -> dict[str, Any]:
    """Write mapping, documents and query into a folder, and return what was written.

    Args:
        pushed: The index.
        engine: One of `VERSIONS`.
        folder: Made where it is missing; files of these names are replaced.

    Raises:
        ValueError: If some ids are numbers and some are text.
    """
    check_ids(pushed)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(_mapping(pushed, engine), folder / "mapping.json")
    write_json(_query(pushed, engine), folder / QUERY)

    def lines(entry: Entry, own: Content) -> list[dict[str, Any]]:
        return [{"index": {"_id": str(entry.key)}}, _document(pushed, own)]

    written = write_documents(pushed, folder / "documents.ndjson", lines)
    files = ["mapping.json", "documents.ndjson", QUERY]
    return {"folder": str(folder), "version": VERSIONS[engine], "files": files, **written}


def _mapping(pushed: Pushed, engine: str) -> dict[str, Any]:
    sparse = "sparse_vector" if engine == "elasticsearch" else "rank_features"
    fields: dict[str, Any] = {"document": {"type": "object"}}
    fields[pushed.retriever.kind] = {"type": sparse}
    if pushed.reranker is not None and engine == "elasticsearch":
        fields[TOKENS] = {"type": "rank_vectors", "dims": pushed.reranker.index.dim}
    elif pushed.reranker is not None:
        fields[TOKENS] = {"type": "object", "enabled": False}
    return {"mappings": {"_meta": {"glane": pushed.state}, "properties": fields}}


def _document(pushed: Pushed, own: Content) -> dict[str, Any]:
    """Return a document: of several passages the highest weight of each term, and all tokens."""
    terms: dict[str, float] = {}
    for passage in named_terms(own.terms):
        terms |= {name: max(terms.get(name, 0.0), value) for name, value in passage.items()}
    tokens = [token for passage in token_lists(own) for token in passage]
    made: dict[str, Any] = {"document": own.fields, pushed.retriever.kind: terms}
    return {**made, TOKENS: tokens} if tokens else made


def _query(pushed: Pushed, engine: str) -> dict[str, Any]:
    field = pushed.retriever.kind
    if engine == "elasticsearch":
        first: dict[str, Any] = {
            "sparse_vector": {"field": field, "query_vector": "@terms", "prune": False}
        }
        within: dict[str, Any] = {"exists": {"field": TOKENS}}
        score = f"maxSimDotProduct(params.tokens, '{TOKENS}')"
    else:
        first = {"neural_sparse": {field: {"query_tokens": "@terms"}}}
        within = {"match_all": {}}
        score = f"lateInteractionScore(params.tokens, '{TOKENS}', params._source, params.space)"
    body: dict[str, Any] = {
        STATE: pushed.state,
        "size": "@k",
        "_source": {"excludes": [field, TOKENS]},
        "query": first,
    }
    if pushed.reranker is None:
        return body
    params: dict[str, Any] = {"tokens": "@tokens", "shift": "@shift"}
    if engine == "opensearch":
        params["space"] = "innerproduct"
    script = {"source": f"{score} + params.shift", "params": params}  # a score may not be below 0
    again = {
        "query_weight": 0,
        "rescore_query_weight": 1,
        "rescore_query": {"script_score": {"query": within, "script": script}},
    }
    return {**body, "rescore": {"window_size": "@candidates", "query": again}}
