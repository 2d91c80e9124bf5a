"""`glane mcp`, a real process, asked by the protocol's own client and by bytes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent

from glane import Search, TextReranker

T = TypeVar("T")


@asynccontextmanager
async def connected(index: Path, *options: str) -> AsyncIterator[ClientSession]:
    arguments = ["-m", "glane", "mcp", str(index), "--threads", "1", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with (
        asyncio.timeout(240),
        stdio_client(server) as streams,
        ClientSession(*streams) as session,
    ):
        await session.initialize()
        yield session


def asked(index: Path, ask: Callable[[ClientSession], Awaitable[T]], *options: str) -> T:
    """Return what somebody finds out who is connected."""

    async def run() -> T:
        async with connected(index, *options) as session:
            return await ask(session)

    return asyncio.run(run())


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def answer(result: CallToolResult) -> dict[str, Any]:
    """Return an answer, which is the same as text and as an object."""
    assert not result.is_error, text(result)
    found: dict[str, Any] = json.loads(text(result))
    assert result.structured_content == found
    return found


def test_the_tools_answer_as_the_search_does(search: Search) -> None:
    assert search.origin is not None
    query = "green tea \U0001f375"

    async def ask(session: ClientSession) -> tuple[Any, ...]:
        listed = await session.list_tools()
        return (
            [tool.name for tool in listed.tools],
            answer(await session.call_tool("search", {"query": query, "k": 3})),
            answer(await session.call_tool("search", {"query": query, "filter": "year = 2021"})),
            answer(await session.call_tool("search", {"query": "", "filter": {"lang": "en"}})),
            answer(await session.call_tool("explain", {"query": query, "id": 7})),
            answer(await session.call_tool("explain", {"query": query, "id": "7"})),
        )

    names, found, filtered, nothing, explained, by_text = asked(search.origin.folder, ask)
    assert names == ["search", "explain", "rerank"]
    hits = search.search([query], k=3).to_lists()[0]
    excerpts = search.excerpts(query, [hit["id"] for hit in hits])
    assert found["hits"] == [
        {**hit, "title": excerpt.title, "passage": excerpt.text}
        for hit, excerpt in zip(hits, excerpts, strict=True)
    ]
    assert [hit["id"] for hit in filtered["hits"]] == [7]
    assert nothing["hits"] == []
    assert explained == by_text == json.loads(json.dumps(search.explain(query, 7).to_dict()))


def test_an_agent_is_told_of_the_index(make_index: Callable[..., Path]) -> None:
    async def told(session: ClientSession) -> str:
        assert session.instructions is not None
        return session.instructions

    instructions = asked(make_index(), told)
    assert instructions.startswith("An index of 6 documents, searched by title, text.")
    assert "year (int)" in instructions


def test_texts_are_ordered_by_the_reranker_of_the_index(make_index: Callable[..., Path]) -> None:
    folder, texts = make_index(), ["leaf", "tea", "", "stone " * 90 + "tea", "tea", "東京"]
    search = Search.load(folder, threads=1)
    assert search.reranker is not None
    ranked = TextReranker(search.reranker).rerank("tea", texts)

    async def ask(session: ClientSession) -> list[Any]:
        call: dict[str, Any] = {"query": "tea", "texts": texts}
        given = [call, {**call, "k": 2}, {"query": "tea", "texts": []}]
        return [answer(await session.call_tool("rerank", each))["results"] for each in given]

    results = [{"index": place, "score": score} for place, score in ranked]
    assert asked(folder, ask) == [results, results[:2], []]


def test_without_a_reranker_texts_are_not_ordered(make_index: Callable[..., Path]) -> None:
    async def ask(session: ClientSession) -> CallToolResult:
        return await session.call_tool("rerank", {"query": "tea", "texts": ["leaf"]})

    refused = asked(make_index(reranks=False), ask)
    assert refused.is_error
    assert "this index has no reranker, so it cannot order texts" in text(refused)


def test_without_kept_documents_ids_and_scores_are_found(make_index: Callable[..., Path]) -> None:
    async def ask(session: ClientSession) -> list[dict[str, Any]]:
        found = answer(await session.call_tool("search", {"query": "river"}))
        explained = answer(await session.call_tool("explain", {"query": "river", "id": 7}))
        assert explained["fields"] == {}
        hits: list[dict[str, Any]] = found["hits"]
        return hits

    hits = asked(make_index(keeps=False), ask)
    assert [(hit["id"], hit["title"], hit["passage"]) for hit in hits] == [(7, None, None)]


def test_what_is_no_unicode_is_still_told(make_index: Callable[..., Path]) -> None:
    folder = make_index([{"_id": "a\ud800", "title": "T\udfff", "text": "tea \ud800 leaf"}])

    async def ask(session: ClientSession) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = answer(await session.call_tool("search", {"query": "tea"}))[
            "hits"
        ]
        return hits

    (hit,) = asked(folder, ask)
    assert (hit["id"][0], hit["title"][0], hit["passage"][:3]) == ("a", "T", "tea")


def test_wrong_calls_are_told_and_the_next_one_is_answered(
    make_index: Callable[..., Path],
) -> None:
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("search", {}, "query"),
        ("search", {"query": "tea", "k": 0}, "greater than or equal to 1"),
        ("search", {"query": "tea", "k": 10**9}, "less than or equal to 1000"),
        ("search", {"query": 3}, "valid string"),
        ("search", {"query": "tea", "filter": "langue = 1"}, "no field 'langue' to filter by"),
        ("search", {"query": "tea", "filter": "year >"}, "expected a value"),
        ("explain", {"query": "tea", "id": "nobody"}, "unknown document 'nobody'"),
        ("rerank", {"query": "tea", "texts": "leaf"}, "valid list"),
        ("rerank", {"query": "tea", "texts": ["leaf", None]}, "valid string"),
        ("nothing", {}, "nothing"),
    ]

    async def ask(session: ClientSession) -> list[CallToolResult]:
        refused = [await session.call_tool(name, given) for name, given, _ in calls]
        answer(await session.call_tool("search", {"query": "tea"}))
        return refused

    refused = asked(make_index(), ask)
    for result, (name, given, message) in zip(refused, calls, strict=True):
        assert result.is_error, (name, given)
        assert message in text(result)


def test_what_a_writer_commits_is_found(make_index: Callable[..., Path]) -> None:
    folder = make_index()

    async def ask(session: ClientSession) -> list[list[Any]]:
        found = []
        for change in (None, "add", "delete"):
            with Search.edit(folder, threads=1) as writer:
                if change == "add":
                    writer.add([{"_id": "comet", "title": "", "text": "a comet"}])
                elif change == "delete":
                    writer.delete(["comet"])
            hits = answer(await session.call_tool("search", {"query": "comet"}))["hits"]
            found.append([hit["id"] for hit in hits])
        return found

    assert asked(folder, ask) == [[], ["comet"], []]


def test_a_call_that_takes_too_long_is_given_up_and_the_next_one_answered(
    make_index: Callable[..., Path],
) -> None:
    async def ask(session: ClientSession) -> str:
        texts = [f"leaf {number} " * 20 for number in range(5000)]
        late = await session.call_tool("rerank", {"query": "tea", "texts": texts})
        while (await session.call_tool("search", {"query": "tea"})).is_error:
            await asyncio.sleep(0)  # the model is loaded, and the texts are still encoded
        assert late.is_error
        return text(late)

    told = asked(make_index(), ask, "--timeout", "0.5")
    assert "took more than 0.5 seconds, and was given up" in told


def test_many_calls_at_once_are_answered_as_one_by_one(make_index: Callable[..., Path]) -> None:
    queries = ["tea", "river", "東京", ""] * 8

    async def ask(session: ClientSession) -> tuple[list[Any], list[Any]]:
        async def found(query: str) -> Any:  # noqa: ANN401 (JSON)
            return answer(await session.call_tool("search", {"query": query}))["hits"]

        alone = [await found(query) for query in queries[:4]]
        return alone * 8, list(await asyncio.gather(*map(found, queries)))

    alone, at_once = asked(make_index(), ask)
    assert at_once == alone


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "old", "version": "0"},
    },
}
"""What a client of the protocol's first version says."""


def spoken(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Return what a server says to nobody."""
    return subprocess.run(
        [sys.executable, "-m", "glane", "mcp", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_standard_output_is_the_protocols_alone(
    options: list[str], make_index: Callable[..., Path]
) -> None:
    call = {"name": "search", "arguments": {"query": "東京"}}
    lines = [
        json.dumps(HELLO),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        "{no JSON",
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}),
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "glane", "mcp", str(make_index()), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("\n".join(lines) + "\n")
        server.stdin.flush()
        messages: dict[int | None, Any] = {}
        while 2 not in messages:
            message = json.loads(server.stdout.readline())
            messages[message.get("id")] = message
        rest, _ = server.communicate(timeout=240)
    assert (server.returncode, rest) == (0, "")
    assert messages[1]["result"]["protocolVersion"] == "2024-11-05"
    assert "東京" in str(messages[2]["result"])


def test_what_cannot_be_served_is_told_in_one_line(tmp_path: Path) -> None:
    done = spoken(str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere" in done.stderr
    done = spoken(str(tmp_path), "--timeout", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--timeout must be at least 0.1, got 0.0" in done.stderr


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None; from glane.commands.main import main; "
        "sys.exit(main(['mcp', 'index']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "glane mcp needs mcp" in done.stderr
    assert done.stderr.rstrip().endswith("pip install 'glane[mcp]'")


def test_help_tells_what_is_served_without_loading_it() -> None:
    done = spoken("--help")
    assert done.returncode == 0
    assert "default 30.0" in done.stdout
