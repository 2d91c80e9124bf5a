"""The site: built without a warning, all pages in it, no link that leads nowhere, every public
name in the reference."""

import posixpath
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.docs.pages import ROOT

GATHER: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "gather.py"))


class Page(HTMLParser):
    """The links and the named places of a page of the site."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {given[name] or "" for name in ("id", "name") if name in given}
        self.links += [given[name] or "" for name in ("href", "src") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("runtime", "trainer", "export", "docs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "zensical.toml").write_text((ROOT / "zensical.toml").read_text())
    GATHER["gather"](folder / "build" / "pages")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "build" / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """All pages by their place in the site, its error page left out."""
    found = {str(file.relative_to(site)): file for file in site.rglob("*.html")}
    return {name: Page(file.read_text()) for name, file in found.items() if name != "404.html"}


def broken(site: Path, pages: dict[str, Page]) -> Iterator[str]:
    """Return the links that lead to no file, or to no place in it."""
    for name, page in pages.items():
        for link in page.links:
            to = urlsplit(link)
            if to.scheme or to.netloc or not (to.path or to.fragment):
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(to.path)))
            target = name if not to.path else "index.html" if path == "." else path
            target = f"{target}/index.html" if (site / target).is_dir() else target
            if not (site / target).is_file():
                yield f"{name}: {link}: no such file"
            elif to.fragment and unquote(to.fragment) not in pages[target].names:
                yield f"{name}: {link}: no such place"


def test_no_link_leads_nowhere(site: Path, pages: dict[str, Page]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert list(broken(site, pages)) == []


def test_a_link_that_leads_nowhere_is_found(site: Path) -> None:
    text = '<a href="../filters/">a</a><a href="../gone/">b</a><a href="#c">c</a><p id="d">'
    assert list(broken(site, {"files/index.html": Page(text)})) == [
        "files/index.html: ../gone/: no such file",
        "files/index.html: #c: no such place",
    ]


@pytest.mark.parametrize("part", list(GATHER["PUBLIC"]))
def test_every_public_name_is_in_the_reference(part: str, pages: dict[str, Page]) -> None:
    names = GATHER["names"](part)
    assert names
    assert set(names) - pages[f"reference/{part}/index.html"].names == set()


def test_every_page_is_in_the_nav_once() -> None:
    def listed(entry: Any) -> Iterator[str]:  # noqa: ANN401 (of TOML)
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, list):
            yield from (page for below in entry for page in listed(below))
        else:
            yield from (page for below in entry.values() for page in listed(below))

    nav = list(listed(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    written = [path.name for path in (ROOT / "docs").glob("*.md")] + [*GATHER["PAGES"].values()]
    made = [f"reference/{name}.md" for name in [*GATHER["PUBLIC"], "commands"]]
    assert sorted(nav) == sorted([*written, *made])


def test_links_between_pages_are_turned() -> None:
    pages = {"README.md": "index.md", "docs/a.md": "a.md", "benchmarks/README.md": "b/index.md"}
    relinked = GATHER["relinked"]
    assert relinked("[x](docs/a.md#y) [z](docs/)", "README.md", pages) == "[x](a.md#y) [z](docs/)"
    assert relinked("[x](../README.md)", "docs/a.md", pages) == "[x](index.md)"
    assert relinked("[x](../docs/a.md)", "benchmarks/README.md", pages) == "[x](../a.md)"
