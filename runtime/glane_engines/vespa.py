"""`glane push vespa`: an application package, documents to feed, and a query.

Written for Vespa 8, and not run here.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

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

SCHEMA = """\
schema glane {
    document glane {
        field id type string {
            indexing: summary
        }
        field document type string {
            indexing: summary
        }
        field terms type weightedset<string> {
            indexing: attribute
            attribute: fast-search
        }
        field KIND type tensor<float>(passage{}, term{}) {
            indexing: attribute
        }TOKENS
    }
    rank-profile glane {
        inputs {
            query(terms) tensor<float>(term{})INPUT
        }
        function KIND_score() {
            expression: reduce(sum(query(terms) * attribute(KIND), term), max, passage)
        }
        first-phase {
            expression: KIND_score
        }SECOND
    }
}
"""

FIELD = """
        field colbert type tensor<float>(passage{}, token{}, x[DIM]) {
            indexing: attribute
            attribute: paged
        }"""

INPUT = """
            query(tokens) tensor<float>(asked{}, x[DIM])"""

SECOND = """
        function colbert_score() {
            expression {
                reduce(
                    sum(
                        reduce(sum(query(tokens) * attribute(colbert), x), max, token),
                        asked
                    ),
                    max, passage
                )
            }
        }
        second-phase {
            expression: colbert_score
            rerank-count: 100
        }
        match-features: KIND_score colbert_score"""

SERVICES = """\
<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
    <container id="default" version="1.0">
        <search />
        <document-api />
    </container>
    <content id="glane" version="1.0">
        <min-redundancy>1</min-redundancy>
        <documents>
            <document type="glane" mode="index" />
        </documents>
    </content>
</services>
"""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the files."""
    return write(Pushed(arguments.index, arguments.threads), Path(arguments.folder))


def write(pushed: Pushed, folder: Path) -> dict[str, Any]:
    """Write an application, documents and query into a folder, and return what was written.

    Args:
        pushed: The index.
        folder: Made where it is missing; files of these names are replaced.

    Raises:
        ValueError: If some ids are numbers and some are text.
    """
    check_ids(pushed)
    files = ["application/services.xml", "application/schemas/glane.sd", "documents.jsonl", QUERY]
    (folder / "application" / "schemas").mkdir(parents=True, exist_ok=True)
    (folder / files[0]).write_text(SERVICES, encoding="utf-8")
    (folder / files[1]).write_text(_schema(pushed), encoding="utf-8")
    write_json(_query(pushed), folder / QUERY)
    written = write_documents(
        pushed, folder / "documents.jsonl", lambda entry, own: [_put(pushed, entry, own)]
    )
    for stage in (pushed.retriever, pushed.reranker):
        if stage is not None and stage.encoder is not None:
            name = f"application/models/{stage.kind}.onnx"
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(stage.encoder.folder / "model.onnx", folder / name)
            files.append(name)
    return {"folder": str(folder), "version": "8", "files": files, **written}


def _schema(pushed: Pushed) -> str:
    parts = {"TOKENS": "", "INPUT": "", "SECOND": ""}
    dim = 0
    if pushed.reranker is not None:
        parts, dim = {"TOKENS": FIELD, "INPUT": INPUT, "SECOND": SECOND}, pushed.reranker.index.dim
    text = SCHEMA
    for name, part in {**parts, "KIND": pushed.retriever.kind, "DIM": str(dim)}.items():
        text = text.replace(name, part)
    return text


def _put(pushed: Pushed, entry: Entry, own: Content) -> dict[str, Any]:
    """Return the operation that feeds a document."""
    passages = named_terms(own.terms)
    cells = [
        {"address": {"passage": str(place), "term": name}, "value": value}
        for place, passage in enumerate(passages)
        for name, value in passage.items()
    ]
    fields: dict[str, Any] = {
        "id": str(entry.key),
        "document": json.dumps(own.fields, ensure_ascii=False),
        "terms": {name: 1 for passage in passages for name in passage},
        pushed.retriever.kind: {"cells": cells},
    }
    blocks = [
        {"address": {"passage": str(place), "token": str(row)}, "values": token}
        for place, passage in enumerate(token_lists(own))
        for row, token in enumerate(passage)
    ]
    if blocks:
        fields[TOKENS] = {"blocks": blocks}
    return {"put": f"id:glane:glane::{quote(str(entry.key), safe='')}", "fields": fields}


def _query(pushed: Pushed) -> dict[str, Any]:
    body: dict[str, Any] = {
        STATE: pushed.state,
        "yql": "select id, document from glane where weightedSet(terms, @asked)",
        "asked": "@ones",
        "ranking": "glane",
        "hits": "@k",
        "input.query(terms)": "@terms",
    }
    if pushed.reranker is None:
        return body
    tokens = {"input.query(tokens)": "@numbered", "ranking.secondPhase.rerankCount": "@candidates"}
    return {**body, **tokens}
