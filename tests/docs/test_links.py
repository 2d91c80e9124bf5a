"""Every relative link of the pages leads to a file that is there, and to a heading in it."""

import posixpath
import re
from collections.abc import Iterator

import pytest
from tests.docs.pages import PAGES, ROOT, read

LINKED = [*PAGES, "CHANGELOG.md", "SECURITY.md", "llms.txt"]

SKILL = "skills/glane/SKILL.md"

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(text: str) -> list[str]:
    """Return where the links of a page lead that are no addresses of the web."""
    found = LINK.findall(CODE.sub("", text))
    return [link for link in found if not re.match(r"\w+:", link)]


def anchors(text: str) -> set[str]:
    """Return the names of a page's headings, as GitHub and the site make them."""
    headings = HEADING.findall(re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each).lower() for each in headings]
    return {re.sub(r"[^\w\- ]", "", each).strip().replace(" ", "-") for each in plain}


def broken(page: str, text: str) -> Iterator[str]:
    """Return the links of a page that lead nowhere."""
    for link in links(text):
        place, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), place))
        target = target if place else page
        if place and not (ROOT / target).exists():
            yield f"{page}: {link}: no such file"
        elif anchor and anchor not in anchors(text if target == page else read(target)):
            yield f"{page}: {link}: no such heading"


@pytest.mark.parametrize("page", LINKED)
def test_links_lead_somewhere(page: str) -> None:
    assert list(broken(page, read(page))) == []


def test_the_skill_says_what_it_is_called_and_when_to_use_it() -> None:
    head = re.match(r"---\nname: (.+)\ndescription: (.+)\nlicense: MIT\n---\n", read(SKILL))
    assert head
    assert head[1] == posixpath.basename(posixpath.dirname(SKILL)) == "glane"  # as its folder
    assert "Use when" in head[2]
    assert len(head[2]) <= 1024


def test_agents_are_told_of_every_page() -> None:
    assert set(LINKED) - {"llms.txt"} == set(links(read("llms.txt")))


def test_links_that_lead_nowhere_are_found() -> None:
    text = "# One, two\n[a](#one-two) [b](#three) [c](gone.md) [d](../README.md#measured) `[e](f)`"
    assert list(broken("docs/made.md", text)) == [
        "docs/made.md: #three: no such heading",
        "docs/made.md: gone.md: no such file",
    ]
