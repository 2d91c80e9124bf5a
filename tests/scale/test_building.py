"""Shards that a cluster writes from the beginning: those of one index, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scale.processes import titled

from glane import BM25, CheckpointError, Search
from glane.commands.main import main
from glane.retrievers.explaining import Explains
from glane.store.manifest import MANIFEST, read_manifest
from glane_scale.sharded import ShardedSearch, read_shards

pytest.importorskip("ray", reason="pip install 'glane[ray]'")

from glane_scale.building import Block, ShardWriter

FIXTURES = Path(__file__).parents[1] / "fixtures"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]
QUERIES = ["tea and bread", "stars over snow", "sea sea birds", "nowhere", ""]
STAGES = {
    "bm25+colbert": ["--retriever", "bm25", "--reranker", str(FIXTURES / "colbert")],
    "splade": ["--retriever", "splade", "--model", str(FIXTURES / "splade")],
}


def written(folder: Path, n: int) -> Path:
    """Write documents, of which many are alike, some empty and some in several passages."""
    draw = random.Random(1)
    path = folder / "d.jsonl"
    with path.open("w") as file:
        for number in range(n):
            text = " ".join(draw.choices(WORDS, k=draw.choice([0, 1, 2, 2, 9, 60, 200])))
            record = {"_id": number, "title": draw.choice(WORDS), "text": text, "year": number % 5}
            file.write(json.dumps(record) + "\n")
    return path


def argv(folder: Path, documents: Path, stages: str, *options: str) -> list[str]:
    own = ["index", str(folder), "--documents", str(documents), "--fields", "year:int", "--json"]
    return [*own, *STAGES[stages], *options]


def building(folder: Path, documents: Path, stages: str, n: int = 2) -> subprocess.Popen[str]:
    """Start `glane index --shards` in a process group of its own."""
    options = ["--ray", "local", "--shards", str(n)]
    return subprocess.Popen(
        [sys.executable, "-m", "glane", *argv(folder, documents, stages, *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def built(folder: Path, documents: Path, stages: str, n: int = 2) -> dict[str, Any]:
    with building(folder, documents, stages, n) as process:
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    told: dict[str, Any] = json.loads(out)
    return told


def parted(folder: Path, documents: Path, stages: str, n: int = 2) -> Path:
    """Return the shards of one index."""
    assert main(argv(folder / "index", documents, stages, "--threads", "1")) == 0
    assert main(["shard", str(folder / "index"), str(folder / "parted"), "--shards", str(n)]) == 0
    return folder / "parted"


def assert_equal(shards: Path, others: Path) -> None:
    """Compare which documents the shards hold, by which numbers, and all that they answer."""
    for own, its in zip(read_shards(shards), read_shards(others), strict=True):
        one, other = (Search.load(folder, threads=1).collection for folder in (own, its))
        assert one.stored().tolist() == other.stored().tolist()
        assert one.keys.names(one.stored()) == other.keys.names(other.stored())
    assert_answers_equal(ShardedSearch(shards), ShardedSearch(others))


def assert_answers_equal(one: Explains, other: Explains) -> None:
    asked: list[dict[str, Any]] = [{}, {"filter": "year >= 2"}, {"candidates": 30}]
    for options in asked:
        assert one.search(QUERIES, 20, **options) == other.search(QUERIES, 20, **options)
    ids = one.search(["tea snow"], 5).ids[0]
    assert one.documents(ids) == other.documents(ids)
    assert one.explanations("tea snow", ids) == other.explanations("tea snow", ids)


def generation(shard: Path) -> int:
    """Return how often a shard was committed to, 0 where it is not there yet."""
    return read_manifest(shard).generation if (shard / MANIFEST).exists() else 0


def wait_until(process: subprocess.Popen[str], is_time: Callable[[], bool]) -> None:
    """Wait until something is so, or the process has ended."""
    while process.poll() is None and not is_time():
        time.sleep(0.02)


@pytest.mark.parametrize("stages", list(STAGES))
def test_shards_are_those_of_one_index(stages: str, tmp_path: Path) -> None:
    documents = written(tmp_path, 201)
    told = built(tmp_path / "built", documents, stages)
    assert (told["n_documents"], told["shards"]) == (201, [101, 100])
    assert_equal(tmp_path / "built", parted(tmp_path, documents, stages))
    assert not (tmp_path / "built" / "draft.json").exists()


def test_more_shards_than_documents_are_those_of_one_index_too(tmp_path: Path) -> None:
    documents = written(tmp_path, 2)
    assert built(tmp_path / "built", documents, "bm25+colbert", 3)["shards"] == [1, 1, 0]
    assert_equal(tmp_path / "built", parted(tmp_path, documents, "bm25+colbert", 3))


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="writers are found in /proc")
def test_a_writer_that_dies_is_replaced(tmp_path: Path) -> None:
    documents, folder = written(tmp_path, 4000), tmp_path / "built"
    before = set(titled("ray::ShardWriter"))
    with building(folder, documents, "bm25+colbert") as process:
        wait_until(process, lambda: generation(folder / "shard-1") > 1)
        for number in sorted(set(titled("ray::ShardWriter")) - before)[:1]:
            os.kill(number, signal.SIGKILL)
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "A worker died" in error
    assert json.loads(out)["shards"] == [2000, 2000]
    assert_equal(folder, parted(tmp_path, documents, "bm25+colbert"))


def test_a_run_that_was_killed_is_no_shards_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents, folder = written(tmp_path, 4000), tmp_path / "built"
    with building(folder, documents, "bm25+colbert") as process:
        wait_until(process, lambda: generation(folder / "shard-1") > 1)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(CheckpointError, match="the same command goes on from there"):
        ShardedSearch(folder)
    assert main(["serve", str(folder), "--ray", "local"]) == 1
    assert "the same command goes on from there" in capsys.readouterr().err
    assert 0 < len(Search.load(folder / "shard-1", threads=1)) < 2000
    options = ["--ray", "local", "--shards", "2"]
    for stages, own in (("splade", options), ("bm25+colbert", [*options, "--no-documents"])):
        assert main(argv(folder, documents, stages, *own)) == 1
        assert "holds what another command left" in capsys.readouterr().err
    assert main(argv(folder, written(tmp_path, 3), "bm25+colbert", *options)) == 1
    assert "holds other documents, of a run that was stopped" in capsys.readouterr().err
    told = built(folder, written(tmp_path, 4000), "bm25+colbert")
    assert told["shards"] == [2000, 2000]
    # Made, four blocks, and closed: a block that was committed is not encoded again.
    assert [generation(shard) for shard in read_shards(folder)] == [6, 6]
    assert_equal(folder, parted(tmp_path, documents, "bm25+colbert"))
    assert main(argv(folder, documents, "bm25+colbert", *options)) == 1
    assert "holds something" in capsys.readouterr().err


def block(numbers: list[int], word: str = "tea") -> Block:
    """Return documents of a shard."""
    records = [{"id": f"d{number}", "text": f"{word} {number}"} for number in numbers]
    return Block(np.array(numbers, np.int64), records)


def test_a_block_is_stored_once_and_no_other_in_its_place(tmp_path: Path) -> None:
    search = Search(BM25(), keep_documents=True)
    search.save(tmp_path / "shard")
    writer = ShardWriter(str(tmp_path / "shard"))
    for numbers in ([0, 2], [0, 2], [4, 6], [2, 4, 6, 8], []):
        assert writer.store(block(numbers)).n_documents == len(numbers)
    for bad in (
        block([2], "sea"),
        block([3]),
        block([7]),
        Block(np.array([9]), block([8]).records),
    ):
        with pytest.raises(ValueError, match="holds other documents"):
            writer.store(bad)
    with pytest.raises(ValueError, match="holds other documents"):
        writer.finish(4)
    assert writer.finish(5) == {}
    search.store(
        block([0, 2, 4, 6, 8]).records,
        [f"d{number}" for number in (0, 2, 4, 6, 8)],
        [f"tea {number}" for number in (0, 2, 4, 6, 8)],
        numbers=np.array([0, 2, 4, 6, 8]),
    )
    other = Search.load(tmp_path / "shard")
    assert other.search(["tea 4", "6"]) == search.search(["tea 4", "6"])
    assert other.collection.stored().tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shards", "2"], "--shards needs --ray; `glane shard` parts an index"),
        (["--shards", "0", "--ray", "local"], "at least 1"),
        (["--shards", "2", "--ray", "local", "--ray-workers", "2"], "leave --ray-workers out"),
        (["--shards", "2", "--ray", "local", "--overwrite"], "leave --overwrite out"),
        (["--shards", "2", "--ray", "127.0.0.1:9"], "no Ray cluster at '127.0.0.1:9': "),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_leaves_nothing(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = written(tmp_path, 3)
    try:
        code = main(argv(tmp_path / "built", documents, "bm25+colbert", *options))
    except SystemExit as left:
        code = int(str(left.code))
    assert code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "built").exists()


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = written(tmp_path, 3)
    for name in ("d.jsonl", "."):
        options = ["--ray", "local", "--shards", "2"]
        assert main(argv(tmp_path / name, documents, "bm25+colbert", *options)) == 1
        assert "holds something; name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["d.jsonl"]
