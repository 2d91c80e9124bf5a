"""A server under load, and what reranking costs: requests a second, milliseconds, memory.

Usage: python benchmarks/serving.py load INDEX BEIR [--seconds 100] [--connections 1 8 64]
           [--workers 1] [--writes 10]
       python benchmarks/serving.py rerank MODEL BEIR [--texts 100] [--rounds 5]
       python benchmarks/serving.py idle INDEX [--connections 10000]

`load` serves a copy of INDEX and asks the test queries of BEIR over so many connections, one number
of them after the other, while so many texts a second, of at most 64 tokens, replace documents.
Memory is what is the processes' own (`Anonymous` of `smaps_rollup`: pages of mapped files belong to
the system), in the first and the last minute; the processor time of the load itself is told.
`rerank` sends texts never seen before to a server of one thread, in turns with a cross-encoder of
MiniLM's size on torch, whose weights are random: its time alone counts. `idle` opens connections
that send nothing, and searches meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from turns import memory

from glane import read_beir

WORDS_A_TEXT = 45
"""About 64 tokens of scientific English."""


def main() -> None:
    """Print the figures of one of the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["load", "rerank", "idle"])
    parser.add_argument("served", metavar="INDEX|MODEL")
    parser.add_argument("data", nargs="?", metavar="BEIR")
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--connections", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--writes", type=float, default=10, help="a second; 0 for none")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    {"load": load, "rerank": rerank, "idle": idle}[arguments.what](arguments)


class Server(NamedTuple):
    """A server that runs."""

    port: int
    pid: int

    def pids(self) -> list[int]:
        """Return its process, and those of its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    def private(self) -> float:
        """Return the MB of memory that are the processes' own, and not pages of mapped files."""
        return sum(memory(pid).own for pid in self.pids())

    def seconds(self) -> float:
        """Return the processor time that it took so far."""
        rows = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2] for pid in self.pids()]
        ticks = [int(row.split()[place]) for row in rows for place in (11, 12)]
        return sum(ticks) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    """Run `glane serve` on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "glane", "serve", *arguments, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stderr=log, stdout=log)
        try:
            while not is_ready(port):
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read().decode())
                time.sleep(0.1)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait()


def is_ready(port: int) -> bool:
    """Return whether the server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Connection:
    """One connection that is kept; requests go over it one after the other."""

    def __init__(self, port: int) -> None:
        """Hold the port."""
        self.port = port

    async def open(self) -> None:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(re.findall(rb"content-length: (\d+)", answer)[0])
        return int(answer.split()[1]), await self.reader.readexactly(length)


class Told(NamedTuple):
    """What came of some seconds of load."""

    milliseconds: list[float]
    errors: int
    writes: int
    own_seconds: float
    server_seconds: float
    seconds: float


async def loaded(
    running: Server,
    queries: list[str],
    texts: list[dict[str, Any]],
    n: int,
    seconds: float,
    a_second: float,
) -> Told:
    """Ask over n connections for so long, while documents are replaced."""
    took: list[float] = []
    errors = writes = 0
    begin = time.perf_counter()
    end = begin + seconds
    before, served = time.process_time(), running.seconds()

    async def ask(number: int) -> None:
        nonlocal errors
        chance, connection = random.Random(number), Connection(running.port)
        await connection.open()
        while (start := time.perf_counter()) < end:
            body = {"query": chance.choice(queries), "documents": False}
            status, _ = await connection.post("/search", body)
            took.append(1e3 * (time.perf_counter() - start))
            errors += status != 200

    async def write() -> None:
        nonlocal errors, writes
        chance, connection = random.Random(n), Connection(running.port)
        await connection.open()
        due = time.perf_counter()
        while time.perf_counter() < end:
            status, _ = await connection.post("/documents", {"documents": [chance.choice(texts)]})
            errors += status != 200
            writes += 1
            due += 1 / a_second
            await asyncio.sleep(max(0, due - time.perf_counter()))

    writing = [write()] if a_second else []
    await asyncio.gather(*(ask(number) for number in range(n)), *writing)
    own, theirs = time.process_time() - before, running.seconds() - served
    return Told(took, errors, writes, own, theirs, time.perf_counter() - begin)


def load(arguments: argparse.Namespace) -> None:
    """Print requests a second, milliseconds and memory."""
    dataset = read_beir(arguments.data, "test")
    queries, texts = list(dataset.queries.values()), short_texts(arguments.served, dataset.corpus)
    with tempfile.TemporaryDirectory() as folder:
        index = shutil.copytree(arguments.served, Path(folder) / "index")
        with server(str(index), "--workers", str(arguments.workers)) as running:
            rows, private = [], []
            for n in arguments.connections or [1, 8, 64]:
                parts = max(1, round(arguments.seconds / 5))
                told = []
                for _ in range(parts):
                    asked = loaded(
                        running, queries, texts, n, arguments.seconds / parts, arguments.writes
                    )
                    told.append(asyncio.run(asked))
                    private.append(running.private())
                rows.append((n, told))
    print(
        "| connections | requests a second | p50, p95, p99 ms | writes a second | errors | ", end=""
    )
    print("processors: server, load |\n|---|---|---|---|---|---|")
    for n, told in rows:
        print(row(n, told))
    minute = max(1, round(60 / (arguments.seconds / parts)))
    first, last = statistics.median(private[:minute]), statistics.median(private[-minute:])
    print(f"private memory: first minute {first:.0f} MB, last {last:.0f} MB, {last / first:.3f}")


def row(n: int, told: list[Told]) -> str:
    """Return a row of the table."""
    took = sorted(ms for each in told for ms in each.milliseconds)
    seconds = sum(each.seconds for each in told)
    p50, p95, p99 = (took[min(len(took) - 1, int(len(took) * p))] for p in (0.5, 0.95, 0.99))
    server_share = sum(each.server_seconds for each in told) / seconds
    own_share = sum(each.own_seconds for each in told) / seconds
    return (
        f"| {n} | {len(took) / seconds:.1f} | {p50:.1f}, {p95:.1f}, {p99:.1f} | "
        f"{sum(each.writes for each in told) / seconds:.1f} | {sum(each.errors for each in told)} "
        f"| {server_share:.2f}, {own_share:.2f} |"
    )


def short_texts(index: str, corpus: dict[str, str]) -> list[dict[str, Any]]:
    """Return documents of known ids with short texts, to replace what is stored."""
    from glane import Search

    search = Search.load(index, threads=1)
    made = []
    for id, text in list(corpus.items())[:2000]:
        words = " ".join(text.split()[:WORDS_A_TEXT])
        made.append({search.key: id, **dict.fromkeys(search.on, ""), search.on[-1]: words})
    return [document for document in made if document[search.key] in search]


def rerank(arguments: argparse.Namespace) -> None:
    """Print what a request of texts takes, beside a cross-encoder."""
    import torch
    from cross_encoder import cross_encoded, cross_encoder

    torch.set_num_threads(1)
    cross = cross_encoder()
    dataset = read_beir(arguments.data, "test")
    queries, texts = list(dataset.queries.values()), list(dataset.corpus.values())
    from glane import Checkpoint
    from glane.model.preparation import TextPreparer

    preparer = TextPreparer.load(arguments.served)
    length = Checkpoint.read(arguments.served).document_length
    ours, theirs, again = [], [], []
    with server("--model", arguments.served, "--threads", "1") as running:
        os.sched_setaffinity(running.pid, {0})
        os.sched_setaffinity(0, {0})
        for number in range(arguments.rounds):
            query = queries[number % len(queries)]
            some = [
                texts[(number * arguments.texts + n) % len(texts)] for n in range(arguments.texts)
            ]
            body = {"query": query, "texts": some}
            ours.append(timed(lambda body=body: asyncio.run(posted(running.port, body))))
            again.append(timed(lambda body=body: asyncio.run(posted(running.port, body))))
            rows = preparer.tokenize([f"{query} {text}" for text in some], "document").rows
            theirs.append(timed(lambda rows=rows: cross_encoded(cross, rows)))
    print(
        f"{arguments.texts} texts of scifact, one core, at most {length} tokens a passage or pair"
    )
    print("| | ms a request, median (lowest to highest) |\n|---|---|")
    for name, took in (
        ("glane, texts never seen", ours),
        ("glane, the same texts again", again),
        ("cross-encoder, 6 layers, 384 wide, torch", theirs),
    ):
        print(f"| {name} | {statistics.median(took):.0f} ({min(took):.0f} to {max(took):.0f}) |")


async def posted(port: int, body: dict[str, Any]) -> None:
    """Send a request to rerank."""
    connection = Connection(port)
    await connection.open()
    status, content = await connection.post("/rerank", body)
    connection.writer.close()
    assert status == 200, content


def timed(call: Any) -> float:  # noqa: ANN401 (a function)
    """Return the milliseconds that a call takes."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def idle(arguments: argparse.Namespace) -> None:
    """Open connections that say nothing, and search meanwhile."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min((arguments.connections or [10_000])[0], hard - 2000)
    print(f"the limit of open files is {hard}; {wanted} connections are opened")
    with server(arguments.served) as running:
        opened = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(wanted)]
        took = [timed(lambda: asyncio.run(searched(running.port))) for _ in range(20)]
        print(f"a search meanwhile, median of 20: {statistics.median(took):.1f} ms")
        print(f"memory of the server: {running.private():.0f} MB")
        time.sleep(12)
        closed = sum(is_closed(connection) for connection in opened)
        print(f"closed by the server after 12 s: {closed} of {wanted}")
        for connection in opened:
            connection.close()
        asyncio.run(searched(running.port))


async def searched(port: int) -> None:
    """Search once."""
    connection = Connection(port)
    await connection.open()
    status, content = await connection.post("/search", {"query": "bone density"})
    connection.writer.close()
    assert status == 200, content


def is_closed(connection: socket.socket) -> bool:
    """Return whether the other side has closed."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


if __name__ == "__main__":
    main()
