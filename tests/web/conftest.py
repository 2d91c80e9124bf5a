"""Folders of `glane export --web` behind a plain server of files."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.conftest import needed

from glane import Search
from glane_export.web import WebSettings, export_web
from glane_export.web.runtime import write_runtime

FIXTURES = Path(__file__).parents[1] / "fixtures"

FIND = """async ([url, queries, k]) => {
  const { Search } = await import(`${url}search.js`);
  const search = await Search.open(url);
  await search.loadReranker();
  const found = [];
  for (const query of queries) found.push(await search.find(query, k));
  return found;
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def ort_web(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The npm package onnxruntime-web: `GLANE_ORT_WEB`, or fetched as the export fetches it."""
    if copy := os.environ.get("GLANE_ORT_WEB"):
        return copy
    needed(shutil.which("npm"), "npm")
    made = tmp_path_factory.mktemp("npm")
    write_runtime(made / "runtime", None)
    package = made / "package"
    (package / "dist").mkdir(parents=True)
    names = {"ort.js": "dist/ort.wasm.bundle.min.mjs", "package.json": "package.json"}
    names["ort.wasm"] = "dist/ort-wasm-simd-threaded.wasm"
    for name, place in names.items():
        shutil.move(made / "runtime" / name, package / place)
    return str(package)


@pytest.fixture
def served(chromium: Browser) -> Iterator[Callable[[Path], tuple[Page, str]]]:
    """Return a page that looks at a folder, and the folder's address; any complaint is an error."""
    servers: list[ThreadingHTTPServer] = []
    pages: list[Page] = []
    complaints: list[str] = []

    def serve(folder: Path) -> tuple[Page, str]:
        handler = partial(Quiet, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = chromium.new_page()
        page.set_default_timeout(300_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        pages.append(page)
        url = f"http://127.0.0.1:{server.server_port}/"
        page.goto(url)
        return page, url

    yield serve
    for page in pages:
        page.close()
    for server in servers:
        server.shutdown()
        server.server_close()
    assert complaints == []


@pytest.fixture
def searched(
    served: Callable[[Path], tuple[Page, str]], tmp_path: Path
) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that searches in the browser what a search holds."""

    def find(
        search: Search, queries: list[str], k: int = 10, runtime: str | None = None
    ) -> list[dict[str, Any]]:
        folder = tmp_path / f"web{len(list(tmp_path.iterdir()))}"
        index = folder.with_suffix(".index")
        search.save(index)
        export_web(index, folder, WebSettings(runtime=runtime))
        page, url = served(folder)
        found: list[dict[str, Any]] = page.evaluate(FIND, [url, queries, k])
        return found

    return find
