"""What tests of all parts share."""

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glane.commands import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked `owners` out where they are not asked for."""
    if "owners" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("owners")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real collections, from `GLANE_DATA`; where CI is set their absence is a failure."""
    folder = os.environ.get("GLANE_DATA")
    if folder:
        return Path(folder)
    if os.environ.get("CI"):
        pytest.fail("GLANE_DATA is not set; in CI the real collections may not be skipped")
    pytest.skip("GLANE_DATA is not set: the real collections are not here")


def needed(is_here: object, what: str) -> None:
    """Skip where something is not here; where CI is set that is a failure."""
    if not is_here:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is not here; in CI it may not be skipped")
        pytest.skip(f"{what} is not here")


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Browser]":
    """A headless Chromium, for the tests of all parts: there can be only one at once."""
    path = os.environ.get("GLANE_CHROMIUM") or shutil.which("chromium")
    needed(path, "Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def unexplained() -> Callable[[str], list[str]]:
    """Return the arguments of a subcommand whose help is missing, or does not tell the default."""

    def check(name: str) -> list[str]:
        parser = argparse.ArgumentParser(formatter_class=program.Defaults)
        program._find(name).add_arguments(parser)
        program.add_common_arguments(parser)
        return [_named(action) for action in parser._actions if not _is_told(parser, action)]

    return check


def _named(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _is_told(parser: argparse.ArgumentParser, action: argparse.Action) -> bool:
    if not action.help:
        return False
    if not action.option_strings or action.default is argparse.SUPPRESS:
        return True
    text = parser._get_formatter()._expand_help(action)
    if action.required:
        return "needed" in text
    shown = action.default is None or action.default in (False, "") or str(action.default) in text
    return "default" in text and shown
