"""In a service: searches that are awaited, what the logger `glane` is told, what stages take."""

import asyncio
import json
import logging
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from glane import BM25, ColBERT, Results, Search
from glane.commands.main import main

FIXTURES = Path(__file__).parents[1] / "fixtures"
DOCUMENTS = [
    {"id": number, "text": f"tea leaf river {number}", "year": 2000 + number} for number in range(6)
]


def reranked() -> Search:
    colbert = ColBERT.load(FIXTURES / "colbert-int8", threads=1)
    search = Search(BM25(), reranker=colbert, fields={"year": "int"})
    search.add(DOCUMENTS)
    return search


def test_awaited_calls_answer_as_those_that_are_called() -> None:
    search = reranked()

    async def serve() -> list[Results]:
        calls = [search.asearch([f"river {n}"], 3, fuse="rrf", filter="year > 2001") for n in "123"]
        return await asyncio.gather(*calls)

    found = asyncio.run(serve())
    assert found == [
        search.search([f"river {n}"], 3, fuse="rrf", filter="year > 2001") for n in "123"
    ]
    assert asyncio.run(search.aadd([{"id": "new", "text": "moss"}])) == 1
    assert asyncio.run(search.asearch(["moss"])).ids[0][0] == "new"
    for call in (search.asearch("one string"), search.aadd([{"text": "no key"}])):
        with pytest.raises((TypeError, ValueError)):
            asyncio.run(call)


def test_the_event_loop_goes_on_while_a_search_computes() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(Search):
        def search(self, *arguments: Any, **named: Any) -> Results:  # noqa: ANN401
            begun.set()
            assert go_on.wait(60)
            return super().search(*arguments, **named)

    search = Waiting(BM25())
    search.add(DOCUMENTS)

    async def serve() -> Results:
        waiting = asyncio.create_task(search.asearch(["tea"]))
        while not begun.is_set():  # reached only where the loop is not blocked
            await asyncio.sleep(0)
        go_on.set()
        return await waiting

    assert len(asyncio.run(serve()).ids[0]) == 6


def test_an_addition_whose_caller_is_cancelled_is_made_whole() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(BM25):
        def encode_documents(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            begun.set()
            assert go_on.wait(60)
            return super().encode_documents(*arguments, **named)

    search = Search(Waiting())

    async def serve() -> None:
        adding = asyncio.create_task(search.aadd(DOCUMENTS))
        while not begun.is_set():
            await asyncio.sleep(0)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert len(search) == 0
        go_on.set()

    asyncio.run(serve())  # which waits for the thread
    assert len(search) == len(DOCUMENTS)


def test_timings_are_of_the_stages_that_there_were() -> None:
    search, lexical = reranked(), Search(BM25())
    lexical.add(DOCUMENTS)
    assert search.search(["tea"]).timings is None
    both = ["encode", "retrieve", "rerank"]
    for searched, asked, stages in (
        (search, {"fuse": "rrf", "filter": "year > 2001"}, {"filter", *both, "fuse"}),
        (search, {"fuse": "none"}, {*both}),
        (lexical, {}, {"encode", "retrieve"}),
    ):
        arguments: dict[str, Any] = dict(asked)
        found = searched.search(["tea", "moss"], timings=True, **arguments)
        assert found.timings is not None
        assert set(found.timings) == stages
        assert all(value >= 0 for value in found.timings.values())
        assert found == searched.search(["tea", "moss"], **arguments)
        ids, scores = found
        assert pickle.loads(pickle.dumps(found)).timings == found.timings
        assert Results(ids, scores).timings is None


def test_the_command_shows_timings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reranked().save(tmp_path / "index")
    argv = ["search", str(tmp_path / "index"), "tea", "--fuse", "rrf"]
    assert main([*argv, "--json"]) == 0
    assert "timings" not in json.loads(capsys.readouterr().out)
    assert main([*argv, "--json", "--timings"]) == 0
    timings = json.loads(capsys.readouterr().out)["timings"]
    assert list(timings) == ["encode", "retrieve", "rerank", "fuse"]
    assert main([*argv, "--timings"]) == 0
    assert "milliseconds: encode " in capsys.readouterr().out


def test_what_is_done_is_told_to_the_logger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = tmp_path / "index"
    search = reranked()
    with caplog.at_level(logging.INFO, "glane"):
        search.save(index)
        served = Search.load(index, threads=1)
        with Search.edit(index, threads=1) as other:
            other.delete([0])
            other.compact()
        served.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        f"committed generation 1 of {index}",
        "compacted 5 documents",
        f"committed generation 2 of {index}",
        f"refreshed {index} from generation 1 to 2",
    ]
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "glane"):
        served.add([{"id": "new", "text": "moss " * 99}])
    told = caplog.text
    for part in ("BM25 encoded 1 documents in", "ColBERT encoded 1 documents in", "loaded "):
        assert part in told
    assert "colbert-int8" in told or "model.onnx" in told
    assert {record.name for record in caplog.records} == {"glane"}


def test_nothing_is_installed_and_nothing_said_where_nobody_listens(tmp_path: Path) -> None:
    program = (
        "import logging, glane\n"
        "assert 'glane' not in logging.Logger.manager.loggerDict, 'nothing at import'\n"
        "search = glane.Search(glane.BM25())\n"
        "search.add([{'id': 1, 'text': 'tea'}])\n"
        f"search.save({str(tmp_path / 'index')!r})\n"
        "logger = logging.getLogger('glane')\n"
        "assert not logger.handlers and not logger.level and logger.propagate\n"
        "assert not logging.getLogger().handlers\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
