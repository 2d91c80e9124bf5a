"""Documents encoded by Ray: the index of one machine, whoever dies meanwhile."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.scale.processes import titled

from glane import Search
from glane.commands.main import main

pytest.importorskip("ray", reason="pip install 'glane[ray]'")

FIXTURES = Path(__file__).parents[1] / "fixtures"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]
QUERIES = ["tea and bread", "stars over snow", ""]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("documents") / "d.jsonl"
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randrange(200))) for _ in range(200)]
    path.write_text("".join(json.dumps({"_id": n, "text": t}) + "\n" for n, t in enumerate(texts)))
    return path


def stages(retriever: str) -> list[str]:
    own = [] if retriever in ("bm25", "tfidf") else ["--model", str(FIXTURES / retriever)]
    return ["--retriever", retriever, *own, "--reranker", str(FIXTURES / "colbert")]


def indexing(index: Path, documents: Path, retriever: str) -> subprocess.Popen[str]:
    """Start `glane index` with two workers, in a process group of its own."""
    argv = [sys.executable, "-m", "glane", "index", str(index), "--documents", str(documents)]
    ray = ["--ray", "local", "--ray-workers", "2", "--json"]
    return subprocess.Popen(
        [*argv, *stages(retriever), *ray],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def compacted(index: Path) -> list[bytes]:
    assert main(["compact", str(index)]) == 0
    return sorted(path.read_bytes() for path in (index / "segments").iterdir())


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="workers are found in /proc")
@pytest.mark.parametrize("retriever", ["bm25", "splade"])
def test_the_index_is_that_of_one_machine_though_a_worker_dies(
    retriever: str, documents: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    argv = ["index", str(here), "--documents", str(documents), *stages(retriever)]
    assert main([*argv, "--threads", "1"]) == 0
    before = set(titled("ray::Worker"))
    with indexing(there, documents, retriever) as process:
        while process.poll() is None and not set(titled("ray::Worker")) - before:
            time.sleep(0.02)
        for number in sorted(set(titled("ray::Worker")) - before)[:1]:
            os.kill(number, signal.SIGKILL)
        out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "A worker died" in error
    told = json.loads(out)
    assert (told["n_documents"], told["n_truncated"]) == (200, 0)
    one, other = (Search.load(index, threads=1) for index in (here, there))
    assert one.search(QUERIES, 10) == other.search(QUERIES, 10)
    assert compacted(here) == compacted(there)


def test_without_ray_it_says_what_to_install(
    documents: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "glane_scale.spreading", raising=False)
    argv = ["index", str(tmp_path / "index"), "--documents", str(documents), *stages("bm25")]
    assert main([*argv, "--ray", "local"]) == 1
    assert capsys.readouterr().err.endswith("--ray needs ray: pip install 'glane[ray]'\n")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--ray", "127.0.0.1:9"], "no Ray cluster at '127.0.0.1:9': "),
        (["--ray", "local", "--ray-workers", "0"], "at least 1"),
        (["--ray-workers", "2"], "--ray-workers needs --ray"),
        (["--ray-gpus"], "--ray-gpus needs --ray"),
        (["--ray", "local", "--ray-workers", "1", "--ray-gpus"], "1 workers need a GPU each, but"),
        (["--ray", "local", "--shards", "1", "--ray-gpus"], "1 shards need a GPU each, but"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_leaves_nothing(
    option: list[str],
    message: str,
    documents: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["index", str(tmp_path / "index"), "--documents", str(documents), *stages("bm25")]
    try:
        code = main([*argv, *option])
    except SystemExit as left:
        code = int(str(left.code))
    assert code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "index").exists()


def test_a_token_that_is_not_sent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glane_scale import cluster

    monkeypatch.setattr(cluster, "TOKEN", tmp_path / "token")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert cluster._token_hint() == ""
    (tmp_path / "token").touch()
    assert cluster._token_hint().endswith("set RAY_AUTH_MODE=token")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert cluster._token_hint() == ""
