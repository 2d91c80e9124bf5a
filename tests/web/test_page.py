"""The page in a real browser: typing, marks, phone width, what goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from tests.web.conftest import FIXTURES

from glane import BM25, ColBERT, Search
from glane_export.web import WebSettings, export_web

pytestmark = pytest.mark.browser

Serve = Callable[[Path], tuple[Page, str]]

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "leaf", "title": "Leaves & <b>", "text": "Plants eat light. Green tea is a leaf."},
    {"id": "sea", "title": "Rivers", "text": "They run to the sea, and tea does not. " * 40},
    {"id": 7, "title": "", "text": "Snow falls in winter."},
]


def exported(tmp_path: Path, search: Search, runtime: str | None = None) -> Path:
    search.add(DOCUMENTS)
    search.save(tmp_path / "index")
    export_web(tmp_path / "index", tmp_path / "web", WebSettings(runtime=runtime))
    return tmp_path / "web"


def test_what_is_typed_is_found_and_marked(served: Serve, tmp_path: Path) -> None:
    page, _ = served(
        exported(tmp_path, Search(BM25(), key="id", on=["title", "text"], keep_documents=True))
    )
    page.get_by_text("3 documents").wait_for()
    page.get_by_role("searchbox", name="Search").press_sequentially("green teas", delay=5)
    page.get_by_text("2 results in").wait_for()
    assert page.locator("li").first.locator("h2").inner_text() == "Leaves & <b>"
    assert page.locator("li").first.locator("mark").all_inner_texts() == ["Green", "tea"]
    assert "…" in page.locator("li").nth(1).inner_text()
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("searchbox").fill("zebra")
    page.get_by_text("No document has a word of this.").wait_for()
    assert page.locator("li").count() == 0
    page.get_by_role("searchbox").fill("snow")
    page.get_by_text("1 result in").wait_for()
    assert page.locator("li h2").inner_text() == "7"


def test_the_model_comes_after_the_words(served: Serve, tmp_path: Path, ort_web: str) -> None:
    reranker = ColBERT.load(FIXTURES / "colbert")
    search = Search(BM25(), reranker=reranker, key="id", on=["title", "text"])
    page, _ = served(exported(tmp_path, search, ort_web))
    page.get_by_role("searchbox").fill("tea")
    page.get_by_text("2 results in").wait_for()
    page.wait_for_function("document.getElementById('loading').textContent === ''")
    page.get_by_role("searchbox").fill("green tea")
    score = f"score {search.search(['green tea']).scores[0][0]:.2f}"
    page.get_by_text(score).wait_for()


def test_every_request_goes_to_the_folder(served: Serve, tmp_path: Path) -> None:
    folder = exported(tmp_path, Search(BM25(), key="id", on="text"))
    page, url = served(folder)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.get_by_role("searchbox").fill("tea")
    page.get_by_text("2 results in").wait_for()
    assert asked
    assert all(address.startswith(url) or address.startswith("data:") for address in asked)


def test_files_of_another_format_are_told(served: Serve, tmp_path: Path) -> None:
    folder = exported(tmp_path, Search(BM25(), key="id", on="text"))
    (folder / "search.json").write_text('{"format_version": 9}', "utf-8")
    page, _ = served(folder)
    page.get_by_role("alert").filter(has_text="has format 9; these files read 1").wait_for()
