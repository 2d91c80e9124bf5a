"""What a browser needs of a retriever and of a reranker: arrays and rules, taken from an index."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glane.maxsim.index import tokens_of
from glane.model.checkpoint import QUERY_WEIGHTS
from glane.model.encoder import Encoder
from glane.postings.inverted import InvertedLists
from glane.postings.joining import lists_of
from glane.postings.statistics import Statistics
from glane.ragged import join_lengths
from glane.retrievers.bm25 import BM25
from glane.retrievers.colbert import ColBERT
from glane.retrievers.contract import Retriever
from glane.retrievers.passages import Passages
from glane.retrievers.splade import Splade
from glane.store.arrays import file_chunks
from glane.store.segments import Segments
from glane.types import Ids, Scores
from glane.vectors import SparseVectors, TokenVectors
from glane_export.web.analysis import analysis_rules, stemmed
from glane_export.web.refusing import NotForBrowsers
from glane_export.web.stemmers import write_stemmers
from glane_export.web.tokenizer import tokenizer_rules

MOST_BYTES = 1 << 31
"""What a browser holds in one array."""

Array = npt.NDArray[Any]


def write_retriever(stage: Retriever, folder: Path) -> dict[str, Any]:
    """Write what finds documents, and return what `search.json` says of it.

    Args:
        stage: BM25, or an inference-free Splade.
        folder: Is there already.

    Raises:
        NotForBrowsers: If it is another, or its analysis or tokenizer cannot be carried.
    """
    if isinstance(stage, BM25):
        _write_bm25(stage, folder)
        return {"kind": BM25.kind}
    plain = stage.stage if isinstance(stage, Passages) else stage
    if isinstance(plain, Splade) and plain.encoder.checkpoint.inference_free:
        _write_splade(plain, _owners(stage), folder)
        return {"kind": Splade.kind}
    raise NotForBrowsers(
        f"the index is searched by {type(plain).__name__}, and BM25 or an inference-free Splade is "
        "what a browser searches by; make the index with one of these"
    )


def write_reranker(stage: Retriever | None, folder: Path) -> dict[str, Any] | None:
    """Write what orders documents, and return what `search.json` says of it, None of none.

    Raises:
        NotForBrowsers: If it is no ColBERT, or its vectors are more than a browser holds.
    """
    if stage is None:
        return None
    plain = stage.stage if isinstance(stage, Passages) else stage
    if not isinstance(plain, ColBERT):
        raise NotForBrowsers(
            f"the index is reranked by {type(plain).__name__}, and ColBERT is what a browser "
            "reranks by; make the index with one, or without a reranker"
        )
    made = plain.snapshot()
    made.compact()
    kind = made.index.storage.kind
    arrays = {**_vectors(made.index.rows), "owners": _owners(stage).astype(np.uint32)}
    _write_arrays(arrays, folder / "vectors.bin")
    _write_json(tokenizer_rules(plain.encoder.preparer), folder / "colbert-tokenizer.json")
    _write_graph(plain.encoder, folder / "model.onnx")
    return {"kind": ColBERT.kind, "storage": kind, "dim": plain.encoder.checkpoint.dim}


def _write_bm25(stage: BM25, folder: Path) -> None:
    rules = analysis_rules(stage.analyzer)
    made = stage.snapshot()
    made.compact()
    rows = made.tables()[""]
    lists = _lists(rows)
    weigh = made.formula.weighting(Statistics(rows.parts))
    weights = np.empty(len(lists.rows), np.float32)
    for place, term in enumerate(lists.terms.tolist()):
        stretch = slice(lists.offsets[place], lists.offsets[place + 1])
        own = lists.rows[stretch].astype(np.int64)
        weights[stretch] = weigh(term, own, lists.values[stretch])
    _write_postings(lists, weights, np.arange(len(made) + 1), folder)
    numbers = np.arange(len(lists.terms), dtype=np.int32)
    ones = np.ones(len(numbers), np.float32)
    every = SparseVectors(np.array([0, len(numbers)], np.int64), numbers, ones)
    _write_json(list(made.decode(every)[0]), folder / "terms.json")
    _write_json(rules, folder / "analysis.json")
    write_stemmers(stemmed(stage.analyzer), folder / "stemmers")


def _write_splade(stage: Splade, owners: Ids, folder: Path) -> None:
    rules = tokenizer_rules(stage.encoder.preparer)
    made = stage.snapshot()
    made.compact()
    lists = _lists(made.index.rows)
    _write_postings(lists, lists.values, owners, folder)
    table = np.load(BytesIO(stage.encoder.files.small[QUERY_WEIGHTS]), allow_pickle=False)
    _write_arrays({"weights": table}, folder / "table.bin")
    _write_json(rules, folder / "splade-tokenizer.json")


def _lists(rows: Segments) -> InvertedLists:
    """Return the inverted lists of what was compacted."""
    if rows.parts:
        return lists_of(rows.parts[0])
    nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    return InvertedLists.invert(SparseVectors(np.zeros(1, np.int64), *nothing))


def _owners(stage: Retriever) -> Ids:
    """Return the offsets of each document's rows: one each, but where it is in passages."""
    if not isinstance(stage, Passages):
        return np.arange(len(stage) + 1)
    made = stage.rows.snapshot()
    made.compact()
    counts = [np.diff(part.whole("offsets")) for part in made.parts]
    return join_lengths(np.concatenate([np.empty(0, np.int64), *counts]))


def _write_postings(lists: InvertedLists, weights: Scores, owners: Ids, folder: Path) -> None:
    narrow = np.uint16 if owners[-1] <= np.iinfo(np.uint16).max else np.uint32
    arrays = {
        "terms": lists.terms,
        "offsets": lists.offsets.astype(np.uint32),
        "rows": lists.rows.astype(narrow),
        "values": weights,
        "owners": owners.astype(np.uint32),
    }
    _write_arrays(arrays, folder / "postings.bin")


def _vectors(rows: Segments) -> dict[str, Array]:
    """Return token vectors as they are stored; scales as float32, which browsers know."""
    if not rows.parts:
        nothing = np.empty(0, np.uint8)
        return {"offsets": np.zeros(1, np.uint32), "codes": nothing}
    stored = tokens_of(rows.parts[0].arrays)
    offsets = stored.offsets.astype(np.uint32)
    if isinstance(stored, TokenVectors):
        return {"offsets": offsets, "codes": stored.values.view(np.uint16)}
    scales = stored.scales.astype(np.float32)
    return {"offsets": offsets, "codes": stored.codes, "scales": scales}


def _write_graph(encoder: Encoder, path: Path) -> None:
    contents = encoder.contents()
    if f"{path.name}.data" in contents:
        raise NotForBrowsers(
            "the model's weights lie beside its graph, as those above 2 GB do, which is more than "
            "a browser holds; take a smaller model"
        )
    with path.open("wb") as file:
        file.writelines(contents[path.name]())


def _write_arrays(arrays: dict[str, Array], path: Path) -> None:
    n_bytes = sum(array.nbytes for array in arrays.values())
    if n_bytes >= MOST_BYTES:
        raise NotForBrowsers(
            f"{path.name} would have {n_bytes:,} bytes, and a browser holds {MOST_BYTES:,} at "
            "most; index fewer documents, or their vectors with --token-vectors int4 --pool 2"
        )
    with path.open("wb") as file:
        file.writelines(file_chunks(arrays))


def _write_json(record: object, path: Path) -> None:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text, "utf-8")
