"""The service of `docs/embedding-service.md`, started and asked by its very commands."""

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.conftest import needed
from tests.docs import made
from tests.docs.pages import blocks, like, outputs, read

SERVE, *ASKED = (block.code for block in blocks(read("docs/embedding-service.md")) if block.mark)
ASK = "".join(ASKED).replace(" | head -c 200", "")
"""What the page asks, and all of the answers."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[str]:
    """Where the server of the page listens."""
    made.make(tmp_path, "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = str(free.getsockname()[1])
    words = shlex.split(SERVE.replace("8080", number))
    assert words[0] == "glane"
    server = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(number):
            assert server.poll() is None
            time.sleep(0.1)
        yield number
    finally:
        server.terminate()
        server.wait(30)


def answers(port: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def test_the_service_answers_what_the_page_asks(port: str) -> None:
    needed(shutil.which("curl"), "curl")
    script = f"set -eu\n{ASK.replace('8080', port)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    for shown in outputs(read("docs/embedding-service.md"))[:2]:
        assert like(shown).search(done.stdout), (shown, done.stdout[:400])
    decoder = json.JSONDecoder()
    reranked, end = decoder.raw_decode(done.stdout)
    assert sorted(result["index"] for result in reranked["results"]) == [0, 1]
    (vectors,) = json.loads(done.stdout[end:])
    assert {len(vector) for vector in vectors} == {8}
