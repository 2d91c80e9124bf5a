"""Each program in `benchmarks/` on a tiny size: it runs, and prints its figures."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from glane import BM25, Search, Splade
from glane import ColBERT as GivenColBERT
from glane.commands.main import main

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
bench, turns = import_module("bench"), import_module("turns")

FIXTURES = ROOT / "tests" / "fixtures"
N_DOCUMENTS, N_QUERIES = 60, 12

WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]

NEEDED = [
    name
    for name in ("torch", "transformers", "onnx", "ir_measures", "bm25s", "qdrant_edge", "psycopg")
    if find_spec(name) is None
]
if NEEDED and os.environ.get("GLANE_REQUIRE_TORCH") == "1":
    raise ModuleNotFoundError(f"GLANE_REQUIRE_TORCH is set, but {NEEDED} are not installed")
if NEEDED:
    pytest.skip(f"{NEEDED} are not installed", allow_module_level=True)

COMPARED = {
    "maxsim": "a query, ms",
    "maxsim-ragged": "a query, ms",
    "bm25-query": "one query at a time, ms",
    "bm25-synthetic": "one query at a time, ms",
    "bm25-index": "index, s",
    "sparse": "one query at a time, ms",
    "encode": "a document, ms",
    "query": "a query, p50, ms",
    "start": "processor time, s",
    "growth-bm25": "a query, ms",
    "growth-splade": "a query, ms",
    "growth-colbert": "a query, ms",
}
"""Rows of `bench.py`, and a figure of each."""

PROGRAMS = {
    **{
        f"bench {row}": [
            *(row, "--data", "BEIR", "--model", "MODEL", "--checkpoint", "CHECKPOINT"),
            *("--out", "OUT", "--small"),
        ]
        for row in COMPARED
    },
    "bm25": ["BEIR", "--rounds", "1"],
    "browser": ["INDEX", "WEB", "BEIR"],
    "bulk": ["40", "--options", "--retriever bm25"],
    "dealing": ["BEIR/corpus.jsonl", "--shards", "3", "--rounds", "1"],
    "engines qdrant": ["qdrant-float16", "RERANKED", "BEIR", "--queries", "2", "--rounds", "1"],
    "engines postgres": ["postgres", "RERANKED", "BEIR", "--queries", "2", "--rounds", "1"],
    "encoding": ["MODEL", "--documents", "BEIR/corpus.jsonl", "--turns", "1"],
    "exporting": [
        *("--tokenizer", "TOKENIZER", "--layers", "1", "--width", "64", "--vocabulary", "320"),
        *("--threads", "1"),
    ],
    "filters": ["--documents", "300", "--queries", "3", "--rounds", "1"],
    "function": ["MODEL", "BEIR", "OUT", "--documents", "20", "--rounds", "1"],
    "fusion": ["MODEL", "OUT", "BEIR/:train", "--queries", "12", "--documents", "50"],
    "licences": [],
    "lsr": ["--embedding", "LSR", "--output", "OUT"],
    "maxsim": ["--documents", "5", "--tokens", "7", "--ragged", "--rounds", "1"],
    "memory": ["short", "MODEL", "--documents", "50", "--threads", "1"],
    "passages facts": ["facts", "BEIR", "MODEL", "--documents", "4", "--words", "100"],
    "passages price": [
        *("price", "BEIR", "MODEL", "--documents", "20", "--queries", "3", "--rounds", "1"),
    ],
    "pruning": ["RERANKED", "BEIR", "train", "--queries", "4", "--sizes", "3"],
    "quantization": ["CHECKPOINT", "BEIR/corpus.jsonl", "--documents", "8"],
    "reading": ["--records", "500", "--index"],
    "scaling table": ["table"],
    "scaling tail": ["tail", "--shards", "1", "3", "--queries", "50"],
    "scifact": [
        *("--data", "BEIR", "--base", "BASE", "--out", "OUT", "--seeds", "0"),
        *("--precisions", "fp32", "--", "--dim", "8", "--max-steps", "2", "--threads", "1"),
    ],
    "serving idle": ["idle", "INDEX", "--connections", "20"],
    "serving load": ["load", "INDEX", "BEIR", "--seconds", "2", "--connections", "2"],
    "serving rerank": ["rerank", "MODEL", "BEIR", "--texts", "3", "--rounds", "1"],
    "since": [
        *("BEFORE", "OUT.npz", "--model", "MODEL", "--data", "BEIR"),
        *("--queries", "2", "--rounds", "1"),
    ],
    "sparse": ["--index", "SPLADE", "--data", "BEIR", "--queries", "3", "--rounds", "1"],
    "spreading": ["BEIR", "--colbert", "MODEL", "--limit", "20"],
    "stopping joined": [
        *("BEIR", "--colbert", "MODEL", "--limit", "20", "--stops", "1", "--shards", "0"),
    ],
    "stopping sharded": ["BEIR", "--colbert", "MODEL", "--limit", "20", "--stops", "1"],
    "store": ["BEIR", "OUT", "--n-documents", "300", "--n-new", "20", "--rounds", "1"],
    "folds": [
        *("BEIR", "--base", "BASE", "--out", "OUT", "--folds", "2"),
        *("--options", "--dim 8 --max-steps 1", "", "--lr 1e-3"),
    ],
    "seeds": [
        *("BEIR", "--base", "BASE", "--out", "OUT", "--seeds", "0", "--queries", "4"),
        *("--tested", "5", "--candidates", "3", "--", "--dim", "8", "--max-steps", "1"),
    ],
    "training_data": ["--triples", "300", "600", "--base", "BASE"],
    "training_speed": [
        *("--base", "BASE", "--data", "BEIR", "--steps", "1", "--rounds", "1", "--threads", "1"),
    ],
    "token_vectors": ["MODEL", "BEIR", "OUT", "--queries", "6"],
}
"""Arguments of each program; names in capitals are folders of the test."""

FIGURES = {
    **{f"bench {row}": f"| {figure} | " for row, figure in COMPARED.items()},
    "bm25": "| NDCG@10 |",
    "browser": "ids in the same order; overlap 1.0000",
    "bulk": "| to 100% | ",
    "dealing": " a second (",
    "engines qdrant": "| relative | 1.0000 | ",
    "engines postgres": "| relative | 1.0000 | ",
    "encoding": "texts/s",
    "exporting": "| int8 | ",
    "filters": "| Splade | 50 % | ",
    "function": "could not write: True",
    "fusion": "mean gain on test of what is written, over 1:",
    "licences": "| numpy | ",
    "lsr": "4 documents indexed in ",
    "maxsim": "| glane int8 | ",
    "memory": "resident: loaded",
    "passages facts": "| ColBERT, cut | ",
    "passages price": "| a query, ms | ",
    "pruning": "  prune    3: rerank ",
    "quantization": "per token (glane) |",
    "reading": "`glane index --retriever bm25`: ",
    "scaling table": "| 10,000,000,000 | ",
    "scaling tail": "| 3 | ",
    "scifact": "over the untrained (",
    "seeds": "worse by more than the error: ",
    "serving idle": "closed by the server",
    "serving load": "private memory: first minute",
    "serving rerank": "| glane, the same texts again |",
    "since": "| candidates ordered, ms | ",
    "sparse": "| overlap | 1.0000 | 1.0000 |",
    "spreading": "| True | True |",
    "stopping joined": "| 20 | True |",
    "stopping sharded": "| [1, 1] | [3, 3] | True |",
    "store": "bytes of a document",
    "folds": "(+0.0000 ± 0.0000)  as usual",
    "training_data": "10,000,000 triples until the first batch, by the growth",
    "training_speed": "| glane, as usual |",
    "token_vectors": "bytes of outlines a document",
}
"""A part of what each prints."""


def test_the_slowest_of_shards_is_as_slow_as_the_formula_says() -> None:
    import numpy as np

    scaling = import_module("scaling")
    drawn = scaling.times(np.random.default_rng(1), (40_000, 16), 20.0, 30.0)
    plain, slow = (drawn[drawn[:, 0] < 100, 0], (drawn > 100).mean())
    assert np.median(plain) == pytest.approx(20, rel=0.01)
    assert np.quantile(plain, 0.95) == pytest.approx(30, rel=0.02)
    assert slow == pytest.approx(scaling.STRAGGLERS, rel=0.1)
    none_slow = (drawn.max(axis=1) < 100).mean()  # of 16, by chance
    assert none_slow == pytest.approx((1 - scaling.STRAGGLERS) ** 16, abs=0.01)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A collection, an index, an encoder, an untrained checkpoint of it, and an exported model."""
    import torch
    from transformers import BertConfig, BertModel

    from glane_trainer import ColBERT

    root = tmp_path_factory.mktemp("benchmarks")
    write_beir(root / "beir")
    write_lsr(root / "lsr")
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(root / "base")
    shutil.copyfile(FIXTURES / "colbert" / "tokenizer.json", root / "base" / "tokenizer.json")
    ColBERT.from_base(root / "base", dim=8, document_length=64).save(root / "checkpoint")
    search = Search(BM25())
    search.add([{"id": f"d{n}", "text": f"tea {n}"} for n in range(N_DOCUMENTS)])
    search.save(root / "index")
    reranked = Search(BM25(), reranker=GivenColBERT.load(FIXTURES / "colbert", threads=1))
    reranked.add([{"id": f"d{n}", "text": " ".join(WORDS[: 1 + n])} for n in range(len(WORDS))])
    reranked.save(root / "reranked")
    sparse = Search(Splade.load(FIXTURES / "splade", threads=1))
    sparse.add([{"id": f"d{n}", "text": f"tea river {n}"} for n in range(N_DOCUMENTS)])
    sparse.save(root / "splade")
    assert main(["export", "--web", str(root / "index"), str(root / "web")]) == 0
    before = ["git", "archive", "--format", "tar", "-o", str(root / "before.tar"), "8f81c84"]
    if subprocess.run([*before, "runtime"], cwd=ROOT, check=False).returncode == 0:
        with tarfile.open(root / "before.tar") as tar:
            tar.extractall(root / "before", filter="data")
    return {
        "BEFORE": str(root / "before"),
        "WEB": str(root / "web"),
        "INDEX": str(root / "index"),
        "SPLADE": str(root / "splade"),
        "RERANKED": str(root / "reranked"),
        "BEIR": str(root / "beir"),
        "LSR": str(root / "lsr"),
        "BASE": str(root / "base"),
        "CHECKPOINT": str(root / "checkpoint"),
        "MODEL": str(FIXTURES / "colbert"),
        "TOKENIZER": str(FIXTURES / "colbert" / "tokenizer.json"),
    }


LSR = {
    "doc": {"d0": {"tea": 1.0}, "d1": {"tea": 2.0, "sea": 1.0}, "d2": {}, "d3": {"tea": 1.0}},
    "query": {"q0": {"tea": 2.0, "snow": 9.0}, "q1": {}, "q2": {"sea": 1.0, "tea": 0.5}},
}
"""Weights of terms, by kind and id."""


def write_lsr(folder: Path) -> None:
    """Write embeddings as lsr-benchmark 0.1.1 has them, terms by their words."""
    import numpy as np

    for kind, rows in LSR.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"{kind}-ids.txt").write_text("\n".join(rows))
        np.savez_compressed(
            folder / kind / f"{kind}-embeddings.npz",
            data=np.array([weight for row in rows.values() for weight in row.values()]),
            indices=np.array([term for row in rows.values() for term in row]),
            indptr=np.cumsum([0, *map(len, rows.values())]),
        )


def write_beir(folder: Path) -> None:
    """Write a collection whose queries are words of their documents; one judgement is of none."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=20)) + f" {n}" for n in range(N_DOCUMENTS)]
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(texts)]
    queries = [
        {"_id": f"q{n}", "text": " ".join(text.split()[:4])}
        for n, text in enumerate(texts[: 2 * N_QUERIES])
    ]
    for name, records in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)
    for split, first in (("train", 0), ("test", N_QUERIES)):
        rows = "".join(f"q{n}\td{n}\t1\n" for n in range(first, first + N_QUERIES))
        judged = f"query-id\tcorpus-id\tscore\n{rows}q{first}\tnowhere\t1\n"
        (folder / "qrels" / f"{split}.tsv").write_text(judged)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_runs(name: str, folders: dict[str, str], tmp_path: Path) -> None:
    places = {**folders, "OUT": str(tmp_path / "out"), "OUT.npz": str(tmp_path / "out.npz")}
    if "BEFORE" in PROGRAMS[name] and not Path(folders["BEFORE"]).exists():
        pytest.skip("this clone is shallow: it lacks the commit that is compared with")
    arguments = []
    for word in PROGRAMS[name]:
        top, slash, rest = word.partition("/")
        arguments.append(f"{places[top]}{slash}{rest}" if top in places else word)
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / f"{name.split()[0]}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert FIGURES[name] in done.stdout


def test_the_run_of_lsr_embeddings_is_ranked_by_their_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lsr(tmp_path / "made")
    argv = ["lsr.py", "--embedding", str(tmp_path / "made"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*argv, "--k", "2"])
    import_module("lsr").main()
    with gzip.open(tmp_path / "out" / "run.txt.gz", "rt") as file:
        rows = [line.split() for line in file]
    assert [row[:4] for row in rows] == [
        ["q0", "Q0", "d1", "1"],
        ["q0", "Q0", "d0", "2"],
        ["q2", "Q0", "d1", "1"],
        ["q2", "Q0", "d0", "2"],
    ]
    assert [float(row[4]) for row in rows] == [4.0, 2.0, 2.0, 0.5]
    assert {row[5] for row in rows} == {"glane"}


def test_every_row_is_tried() -> None:
    assert set(bench.ROWS) == set(COMPARED)


def test_a_row_without_its_data_is_told(tmp_path: Path) -> None:
    program = str(ROOT / "benchmarks" / "bench.py")
    argv = [sys.executable, program, "bm25-query", "--out", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "left out: give --data" in done.stdout


def record(figure: str, engine: str, overlap: float | None = None) -> dict[str, object]:
    """Return a figure of an engine."""
    numbers = {"median": 1.5, "lowest": 1, "highest": 2, "ratio": 3.0, "memory, MB": 9.0}
    return {"figure": figure, "engine": engine, **numbers, "overlap": overlap}


def result(*figures: dict[str, object], load: float | None = 0.5) -> dict[str, object]:
    """Return a result with some figures."""
    return {
        "date": "2026-01-02",
        "command": "c",
        "machine": "M",
        "load": load,
        "versions": {"a": "1"},
        "threads": 1,
        "rounds": 2,
        "figures": [*figures],
        "missing": {"other": ["module"]},
    }


def test_a_result_is_told_with_its_day_machine_and_versions() -> None:
    told = turns.told(result(record("f", "e")))
    about, command, table, missing = told.split("\n\n")
    assert about == "2026-01-02; M, load beside it: 0.5; threads an engine: 1; rounds: 2; a 1."
    assert command == "`c`"
    assert table == "| | e |\n|---|---|\n| f | 1.5 (1 to 2), x3 |\n| memory, MB | 9 |"
    assert missing == "other is missing: module not installed"
    assert "load beside it: not noted;" in turns.told(result(record("f", "e"), load=None))


def test_the_longer_side_of_a_table_goes_down() -> None:
    rows = [record("f", engine, overlap=1.0) for engine in ("a", "b", "c", "d")]
    assert turns.table(rows[:3]).startswith("| | a | b | c |\n")
    across, _, first, *_ = turns.table([*rows, record("g", "a", overlap=1.0)]).splitlines()
    assert across == "| | a | b | c | d |"
    across, _, first, *_ = turns.table(rows).splitlines()
    assert across == "| | f | memory, MB | overlap |"
    assert first == "| a | 1.5 (1 to 2), x3 | 9 | 1.0000 |"


@pytest.mark.parametrize("name", [*COMPARED, "since"])
def test_the_page_has_what_was_measured_last(name: str) -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert turns.told(measured) in section


def test_figures_refer_to_the_first_engine() -> None:
    ours = turns.Told([turns.Turn({"ms": ms}, [[1, 2]]) for ms in (1.0, 3.0, 2.0)], 10.0)
    theirs = turns.Told([turns.Turn({"ms": ms}, [[2, 9]]) for ms in (8.0, 8.0, 9.0)], 20.0)
    first, second = turns.figures({"ours": ours, "theirs": theirs})
    assert (first["median"], first["lowest"], first["highest"], first["ratio"]) == (2, 1, 3, 1)
    assert (second["ratio"], second["overlap"], second["memory, MB"]) == (4, 0.5, 20)


@pytest.mark.parametrize(
    ("ours", "theirs", "share"),
    [
        ([], [], None),
        ([[]], [[1]], None),
        ([[1, 2], [3], []], [[2, 9], [3], [7]], 0.75),
        ([[1, 1]], [[1]], 1),
    ],
)
def test_overlap(ours: list[list[int]], theirs: list[list[int]], share: float | None) -> None:
    assert turns.overlap(ours, theirs) == share


def test_no_program_is_left_out() -> None:
    there = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    tried = {f"{name.split()[0]}.py" for name in PROGRAMS}
    tried |= {row.command.split()[0] for row in bench.ROWS.values()}
    assert there - tried == {
        *("install_size.py",),  # run by .ci/run
        *("cross_encoder.py", "edge_client.py", "postgres_server.py", "turns.py"),  # no programs
    }
    assert "benchmarks/install_size.py" in (ROOT / ".ci" / "run").read_text()
