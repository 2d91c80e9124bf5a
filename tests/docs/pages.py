"""The pages of the repository, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

OTHERS = (
    *("README.md", "CONTRIBUTING.md", "benchmarks/README.md", "recipes/README.md"),
    "skills/glane/SKILL.md",
)

PAGES = [*OTHERS, *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
"""Pages that may have blocks of code."""

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+): (?P<said>[^>]+) -->\n\n?)?"
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


OUTPUT = re.compile(r"^```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

NUMBER = r"-?\b\d+(?:[.,]\d+)*(?:e-?\d+)?"

VARYING = re.compile(rf"{NUMBER}|\.\.\.")
"""In what a page shows that was printed: numbers, and what is left out."""


class Block(NamedTuple):
    """A block of code.

    Attributes:
        language: "python" or "sh".
        code: Its lines.
        mark: What a comment above it is about: "not run" says why, "run by" names the test that
            runs it; "" where there is none.
        said: What the comment says.
    """

    language: str
    code: str
    mark: str
    said: str


def read(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def outputs(text: str) -> list[str]:
    """Return what a page shows that its commands have printed, in order."""
    return [found["text"].strip() for found in OUTPUT.finditer(text)]


def like(shown: str) -> re.Pattern[str]:
    """Return what matches what is printed as a page shows it, but for numbers and what is left out.

    >>> bool(like("12 of 200 in a ...").fullmatch("3 of 4 in a folder"))
    True
    """
    parts, end = [], 0
    for found in VARYING.finditer(shown):
        parts.append(re.escape(shown[end : found.start()]))
        parts.append("(?:.|\\n)*?" if found[0] == "..." else NUMBER)
        end = found.end()
    return re.compile("".join([*parts, re.escape(shown[end:])]))


def blocks(text: str) -> list[Block]:
    """Return the blocks of Python and of the shell of a page, in order."""
    return [
        Block(found["language"], found["code"], found["mark"] or "", found["said"] or "")
        for found in BLOCK.finditer(text)
    ]
