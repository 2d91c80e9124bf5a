"""Characters, words and stems of the browser's analysis against Python's, one by one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from glane import BM25, Search
from glane.analysis import Analyzer
from glane.analysis.folding import fold
from glane.analysis.languages import stemmed_languages
from glane.analysis.samples import SAMPLE_WORDS
from glane.analysis.stopwords import STOP_WORDS
from glane_export.web import export_web

pytestmark = pytest.mark.browser

LOAD = """const { Files } = await import(`${url}files.js`);
  const { Analyzer } = await import(`${url}analyzer.js`);
  const analyzer = await Analyzer.load(new Files(url));"""


@pytest.fixture
def auto(served: Callable[[Path], tuple[Page, str]], tmp_path: Path) -> tuple[Page, str]:
    """A page beside an index whose analysis has every stemmer."""
    search = Search(BM25(analyzer=Analyzer(language="auto")), key="id", on="text")
    search.save(tmp_path / "index")
    export_web(tmp_path / "index", tmp_path / "web")
    return served(tmp_path / "web")


def test_every_character_folds_to_the_same(auto: tuple[Page, str]) -> None:
    page, url = auto
    texts = [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts += ["\ud800", "a\udfffb", "\u03b1\u0345\u0301", '\u05e6"\u05d4', "\u0430\u0301", "\u1e9e"]
    for language in ("none", "turkish", "persian"):
        asked = texts if language == "none" else texts[:0x3000]
        script = f"async ([url, texts, language]) => {{ {LOAD}"
        script += "return texts.map((text) => analyzer.folding.fold(text, language)); }"
        found = page.evaluate(script, [url, asked, language])
        expected = [fold(text, language) for text in asked]
        different = [i for i, text in enumerate(found) if text != expected[i]]
        assert [(texts[i], found[i], expected[i]) for i in different[:5]] == []


def test_every_language_stems_the_same(auto: tuple[Page, str]) -> None:
    page, url = auto
    script = f"async ([url, words, language]) => {{ {LOAD}"
    script += "return words.map((word) => analyzer.term(word, language)); }"
    other = " ".join(SAMPLE_WORDS.values())
    for language in stemmed_languages():
        analyzer = Analyzer(language=language)
        text = (
            f"{STOP_WORDS.get(language, '')} {SAMPLE_WORDS.get(language, '')} {other} 5 a.b. x.\n"
        )
        words = list(analyzer.words(text + "z" * 101 + " \U00010400ing"))
        words = [word for word in words if not analyzer.terms(word) or word.isalnum()]
        found = page.evaluate(script, [url, words, language])
        assert found == [list(analyzer.terms(word)) for word in words]


def test_a_browser_of_an_older_unicode_is_refused(
    served: Callable[[Path], tuple[Page, str]], tmp_path: Path
) -> None:
    search = Search(BM25(), key="id", on="text")
    search.save(tmp_path / "index")
    export_web(tmp_path / "index", tmp_path / "web")
    path = tmp_path / "web" / "analysis.json"
    rules = json.loads(path.read_text("utf-8"))
    rules["characters"]["assigned"] = f"<{len(rules['classes'])}>"
    rules["classes"].append("[\\u{61}\\u{378}]")  # U+0378 is not assigned, and a newer one has it
    path.write_text(json.dumps(rules), "utf-8")
    page, _ = served(tmp_path / "web")
    page.locator("#error").filter(has_text="Unicode is older than the index's").wait_for()
