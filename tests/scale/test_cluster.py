"""What `docs/cluster.md` says of a cluster: its index, and a machine that is lost."""

import json
import random
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime
import pytest

from glane.commands.main import main

pytest.importorskip("ray", reason="pip install 'glane[ray]'")

from ray.cluster_utils import Cluster

from glane_scale.sharded import ShardedSearch

FIXTURES = Path(__file__).parents[1] / "fixtures"
WORDS = ["tea", "sea", "snow", "bees", "bread", "iron", "granite", "stars", "birds", "yeast"]

IMPATIENT = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""How soon Ray takes a machine for lost that says nothing."""


def write_corpus(file: Path, n: int) -> None:
    """Write documents of up to 200 words."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randrange(200))) for _ in range(n)]
    file.write_text("".join(json.dumps({"_id": n, "text": t}) + "\n" for n, t in enumerate(texts)))


def stages(documents: Path) -> list[str]:
    """Return the words of a command that say what is indexed, and how."""
    words = ["--documents", str(documents), "--retriever", "bm25"]
    return [*words, "--reranker", str(FIXTURES / "colbert")]


def compacted(index: Path) -> list[bytes]:
    """Return the content of an index."""
    assert main(["compact", str(index)]) == 0
    return sorted(path.read_bytes() for path in (index / "segments").iterdir())


def test_the_trial_of_the_page_gives_the_index_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(Path("corpus.jsonl"), 50)
    Path("model").symlink_to(FIXTURES / "colbert")
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    lines = re.findall(r"^glane (index (?!.*:6379).*|shard one .*)$", page, re.MULTILINE)
    for line in lines:
        words = shlex.split(line, comments=True)
        done = subprocess.run([sys.executable, "-m", "glane", *words], check=False)
        assert done.returncode == 0, line
    assert len(lines) == 4
    assert compacted(Path("one")) == compacted(Path("index"))
    one, other = (ShardedSearch(folder) for folder in ("shards", "written"))
    assert one.search(["tea and stars"], 50) == other.search(["tea and stars"], 50)


def test_a_run_waits_for_a_machine_in_place_of_the_one_that_was_lost(tmp_path: Path) -> None:
    corpus, here, there = (tmp_path / name for name in ("corpus.jsonl", "here", "there"))
    write_corpus(corpus, 2000)
    assert main(["index", str(here), *stages(corpus), "--threads", "1"]) == 0
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": IMPATIENT},
    )
    try:
        lost = cluster.add_node(num_cpus=1)
        argv = [sys.executable, "-m", "glane", "index", str(there), *stages(corpus)]
        with subprocess.Popen(
            [*argv, "--ray", str(cluster.address), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while process.poll() is None and not (there / "draft.json").exists():
                time.sleep(0.05)
            cluster.remove_node(lost, allow_graceful=False)
            cluster.add_node(num_cpus=1)
            out, error = process.communicate(timeout=150)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert process.returncode == 0, error
    assert json.loads(out)["n_documents"] == 2000
    assert compacted(here) == compacted(there)


@pytest.mark.parametrize("kind", [[], ["--shards", "1"]])
def test_on_a_gpu_the_models_compute_by_cuda_or_say_what_lacks(
    kind: list[str], tmp_path: Path
) -> None:
    """Ray takes the number of GPUs that it is told; onnxruntime looks for them."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_corpus(corpus, 20)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "num_gpus": 1, "include_dashboard": False},
    )
    try:
        argv = [sys.executable, "-m", "glane", "index", str(index), *stages(corpus), *kind]
        done = subprocess.run(
            [*argv, "--ray", str(cluster.address), "--ray-gpus"],
            capture_output=True,
            text=True,
            timeout=150,
        )
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert done.returncode == 1
    assert "it needs an NVIDIA GPU and onnxruntime-gpu" in done.stderr.splitlines()[-1]
