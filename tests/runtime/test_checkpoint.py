"""The files `glane.json` and `model.json`, and the fingerprint of a folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from glane import ColBERT, Search, TextReranker
from glane.errors import CheckpointError, IndexDamaged
from glane.model.checkpoint import (
    CHECKPOINT_FILES,
    MODEL_FILES,
    QUERY_WEIGHTS,
    Checkpoint,
    ModelInfo,
    fingerprint,
)

GOLDEN = """{
  "format_version": 1,
  "kind": "colbert",
  "dim": 128,
  "query_terms": 0,
  "document_terms": 0,
  "inference_free": false,
  "query_length": 32,
  "document_length": 256,
  "query_prefix": "[Q]",
  "document_prefix": "suché: ",
  "query_expansion": true,
  "attend_to_expansion": false,
  "skip_punctuation": true,
  "base": "",
  "query_prompt": "",
  "document_prompt": "",
  "suffix": "",
  "strip": false,
  "lower": false,
  "expansion_length": 0,
  "skipped_tokens": [
    "the"
  ],
  "skip_in_queries": false,
  "mask_token": "",
  "pad_token": "",
  "projection_layers": [],
  "pooling": "max",
  "activation": "relu"
}
"""

BEFORE_DOORS = """{
  "format_version": 1,
  "kind": "colbert",
  "dim": 128,
  "query_prefix": "[Q]",
  "query_expansion": true
}
"""

CHECKPOINT = Checkpoint(
    dim=128,
    document_length=256,
    query_prefix="[Q]",
    document_prefix="suché: ",
    query_expansion=True,
    skip_punctuation=True,
    skipped_tokens=["the"],
)

INFO = ModelInfo(
    precision="int8",
    quantization="dynamic, per channel",
    batch_dependent=True,
    batch_effect=0.004,
    opset=17,
    checkpoint="c0ffee",
)


def test_the_bytes_of_glane_json_are_settled(tmp_path: Path) -> None:
    CHECKPOINT.write(tmp_path)
    assert (tmp_path / "glane.json").read_bytes() == GOLDEN.encode()
    assert Checkpoint.read(tmp_path) == CHECKPOINT


def test_the_smallest_file_gets_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "glane.json").write_text('{"format_version": 1, "dim": 8}')
    assert Checkpoint.read(str(tmp_path)) == Checkpoint(dim=8)


def test_sparse_models_come_back(tmp_path: Path) -> None:
    for kind, dim, inference_free in (("splade", 0, True), ("sparse-embed", 4, False)):
        content = sparse(kind=kind, dim=dim, inference_free=inference_free)
        (tmp_path / "glane.json").write_text(json.dumps(content))
        checkpoint = Checkpoint.read(tmp_path)
        assert (checkpoint.query_terms, checkpoint.document_terms) == (8, 16)
        checkpoint.write(tmp_path)
        assert Checkpoint.read(tmp_path) == checkpoint


def test_model_json_comes_back(tmp_path: Path) -> None:
    INFO.write(tmp_path)
    assert ModelInfo.read(tmp_path) == INFO
    whole = json.loads((tmp_path / "model.json").read_text()) | {"batch_effect": 0}
    (tmp_path / "model.json").write_text(json.dumps(whole))
    assert type(ModelInfo.read(tmp_path).batch_effect) is float


def test_a_file_of_before_the_further_fields_is_read(tmp_path: Path) -> None:
    (tmp_path / "glane.json").write_text(BEFORE_DOORS, encoding="utf-8")
    known = Checkpoint(dim=128, query_prefix="[Q]", query_expansion=True)
    assert Checkpoint.read(tmp_path) == known


def record(**changes: object) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(GOLDEN)
    return whole | changes


def sparse(**changes: object) -> dict[str, Any]:
    terms = {"kind": "splade", "dim": 0, "query_terms": 8, "document_terms": 16}
    silent = {"query_expansion": False, "skip_punctuation": False, "skipped_tokens": []}
    return record() | silent | terms | changes


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in record().items() if name != key}


WRONG: list[tuple[object, str]] = [
    (record(quer_length=3), r"Unknown keys in '.*': \['quer_length'\]; did you mean 'query_len"),
    (record(zzz=1, y=2), r"Unknown keys in '.*': \['zzz', 'y'\]$"),
    (without("dim"), r"Missing keys in '.*glane.json': \['dim'\]"),
    (without("format_version"), r"Missing keys in '.*': \['format_version'\]"),
    ({}, r"Missing keys in '.*': \['format_version', 'dim'\]"),
    (record(format_version=2), "has format_version 2; this version of glane reads 1. Upgrade"),
    (record(format_version="1"), "has format_version '1'"),
    (record(format_version=None), "has format_version None"),
    (record(format_version=True), "`format_version` in '.*' must be int, got True"),
    (record(dim="128"), "`dim` in '.*glane.json' must be int, got '128'"),
    (record(dim=128.0), "`dim` in '.*' must be int, got 128.0"),
    (record(dim=True), "`dim` in '.*' must be int, got True"),
    (record(query_prefix=None), "`query_prefix` in '.*' must be str, got None"),
    (record(query_expansion=1), "`query_expansion` in '.*' must be bool, got 1"),
    (record(kind="bert"), r"`kind` in '.*' must be one of \[.*'colbert'.*\], got 'bert'"),
    (record(kind=["colbert"]), "`kind` in '.*' must be one of"),
    (record(inference_free=0), "`inference_free` in '.*' must be bool, got 0"),
    (record(query_terms=8), "glane.json': `query_terms` of a colbert must be 0, got 8"),
    (record(document_terms=-1), "glane.json': `document_terms` of a colbert must be 0, got -1"),
    (record(dim=0), "glane.json': `dim` of a colbert must be at least 1, got 0"),
    (record(inference_free=True), "glane.json': `inference_free` is for splade alone, not colbert"),
    (sparse(dim=1), "`dim` of a splade must be 0, got 1"),
    (sparse(query_terms=0), "`query_terms` of a splade must be at least 1, got 0"),
    (sparse(kind="sparse-embed"), "`dim` of a sparse-embed must be at least 1, got 0"),
    (sparse(document_terms=-3), "`document_terms` of a splade must be at least 1, got -3"),
    (sparse(query_expansion=True), "`query_expansion` is for colbert alone, not splade"),
    (sparse(skip_punctuation=True), "`skip_punctuation` is for colbert alone, not splade"),
    (
        sparse(kind="sparse-embed", dim=4, inference_free=True),
        "`inference_free` is for splade alone, not sparse-embed",
    ),
    (record(skipped_tokens="the"), "`skipped_tokens` in '.*' must be a list of strings, got 'the'"),
    (record(skipped_tokens=[1]), r"`skipped_tokens` in '.*' must be a list of strings, got \[1\]"),
    (record(pooling="mean"), r"`pooling` in '.*' must be one of \['max', 'sum'\], got 'mean'"),
    (record(pooling="sum"), "`pooling` is for splade alone, not colbert"),
    (record(activation="log1p_relu"), "`activation` is for splade alone, not colbert"),
    (sparse(projection_layers=["tanh"]), "`projection_layers` is for colbert alone, not splade"),
    (sparse(skip_in_queries=True), "`skip_in_queries` is for colbert alone, not splade"),
    (record(expansion_length=33), "`expansion_length` must be from 0 to query_length, 32, got 33"),
    (record(expansion_length=-1), "`expansion_length` must be from 0 to query_length, 32, got -1"),
    ([record()], "must hold a JSON object, got list"),
    (None, "must hold a JSON object, got NoneType"),
]


@pytest.mark.parametrize(("content", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_file_is_refused_by_name(content: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "glane.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"\x80\x04N."])
def test_what_is_not_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "glane.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"glane\.json' is not JSON: "):
        Checkpoint.read(tmp_path)


def test_a_missing_file_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"'{tmp_path}' has no glane.json"):
        Checkpoint.read(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no model\.json"):
        ModelInfo.read(tmp_path)


def test_a_missing_folder_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gone, file = tmp_path / "gone", tmp_path / "file"
    for read in (Checkpoint.read, ModelInfo.read, ColBERT.load, TextReranker.load):
        with pytest.raises(CheckpointError, match=f"there is no folder '{gone}'; `glane export "):
            read(gone)
        with pytest.raises(CheckpointError, match=f"'{file}' is a file; expected a folder"):
            read(file)
    with pytest.raises(IndexDamaged, match=f"there is no folder '{gone}'; `glane index`"):
        Search.load(gone)


def test_a_wrong_model_json_is_refused_by_name(tmp_path: Path) -> None:
    INFO.write(tmp_path)
    good = json.loads((tmp_path / "model.json").read_text())
    for key, value, message in [
        ("precision", "int4", r"one of \['fp32', 'fp16', 'int8'\], got 'int4'"),
        ("batch_effect", "0", "float, got '0'"),
        ("batch_effect", True, "float, got True"),
    ]:
        (tmp_path / "model.json").write_text(json.dumps(good | {key: value}))
        with pytest.raises(CheckpointError, match=f"`{key}` in '.*model.json' must be {message}"):
            ModelInfo.read(tmp_path)


def write_model(folder: Path) -> None:
    for name in MODEL_FILES:
        (folder / name).write_bytes(name.encode())


def test_the_fingerprint_is_settled(tmp_path: Path) -> None:
    write_model(tmp_path)
    hashed = b"glane.json 10\nglane.jsontokenizer.json 14\ntokenizer.jsonmodel.onnx 10\nmodel.onnx"
    assert fingerprint(tmp_path) == hashlib.sha256(hashed).hexdigest()
    (tmp_path / "parity.json").write_text("beside the point")
    assert fingerprint(str(tmp_path)) == hashlib.sha256(hashed).hexdigest()


def test_a_table_of_query_weights_enters_the_fingerprint(tmp_path: Path) -> None:
    write_model(tmp_path)
    without = fingerprint(tmp_path)
    (tmp_path / QUERY_WEIGHTS).write_bytes(b"1")
    one = fingerprint(tmp_path)
    (tmp_path / QUERY_WEIGHTS).write_bytes(b"2")
    assert len({without, one, fingerprint(tmp_path)}) == 3


@pytest.mark.parametrize("name", MODEL_FILES)
def test_any_byte_of_any_file_changes_the_fingerprint(name: str, tmp_path: Path) -> None:
    write_model(tmp_path)
    whole = (tmp_path / name).read_bytes()
    seen = {fingerprint(tmp_path)}
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        (tmp_path / name).write_bytes(changed)
        seen.add(fingerprint(tmp_path))
    for other in (whole + b"\0", whole[:-1], b""):
        (tmp_path / name).write_bytes(other)
        seen.add(fingerprint(tmp_path))
    assert len(seen) == len(whole) + 4


def test_a_byte_moved_to_the_next_file_changes_the_fingerprint(tmp_path: Path) -> None:
    write_model(tmp_path)
    before = fingerprint(tmp_path)
    (tmp_path / "glane.json").write_bytes(b"glane.jsont")
    (tmp_path / "tokenizer.json").write_bytes(b"okenizer.json")
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_file_missing_from_the_fingerprint_is_named(name: str, tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert fingerprint(tmp_path, CHECKPOINT_FILES) != fingerprint(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=f"has no {name}"):
        fingerprint(tmp_path, CHECKPOINT_FILES)
