"""`--help`: every option says its default, and every argument what it is."""

import argparse
from collections.abc import Callable

import pytest

from glane.commands import program
from glane.commands.program import Defaults


@pytest.mark.parametrize("name", program.LIGHT)
def test_every_argument_is_explained_and_every_default_told(
    name: str, unexplained: Callable[[str], list[str]]
) -> None:
    assert unexplained(name) == []


def test_the_check_of_help_finds_what_is_not_explained(
    unexplained: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def formatted(self: Defaults, action: argparse.Action) -> str:
        return action.help or ""

    monkeypatch.setattr(Defaults, "_get_help_string", formatted)
    assert {"--json", "--overwrite", "--retriever"} <= set(unexplained("index"))


def test_a_default_is_added_where_the_text_does_not_name_it() -> None:
    parser = argparse.ArgumentParser(formatter_class=Defaults)
    parser.add_argument("place", help="a place")
    parser.add_argument("--must", required=True, help="a must")
    parser.add_argument("--number", type=int, default=0, help="a number")
    parser.add_argument("--share", default="5%", help="a share")
    parser.add_argument("--flag", action="store_true", help="a flag")
    parser.add_argument("--file", help="a file")
    parser.add_argument("--text", default="", help="a text")
    parser.add_argument("--known", default=3, help="known; default three")
    formatter = parser._get_formatter()
    assert [formatter._expand_help(action) for action in parser._actions] == [
        "show this help message and exit",
        "a place",
        "a must; needed",
        "a number; default 0",
        "a share; default 5%",
        "a flag; default no",
        "a file; default none",
        "a text; default none",
        "known; default three",
    ]
