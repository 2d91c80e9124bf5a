"""`--help` of the commands that need torch."""

from collections.abc import Callable

import pytest

from glane.commands import program


@pytest.mark.parametrize("name", program.HEAVY)
def test_every_argument_is_explained_and_every_default_told(
    name: str, unexplained: Callable[[str], list[str]]
) -> None:
    assert unexplained(name) == []
