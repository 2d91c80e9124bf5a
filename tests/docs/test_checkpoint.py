"""The page of the checkpoint tells every field of its schema, and what each is by default."""

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

from glane.model.checkpoint import Checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "checkpoint.md"


def test_the_page_has_each_field_with_its_default() -> None:
    rows = re.findall(r"^\| (`.*) \| .* \| (.*) ?\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told: dict[str, str] = {}
    for names, said in rows:
        keys = re.findall(r"`(\w+)`", names)
        values = [value.strip() for value in said.split(", ")]
        told |= dict(zip(keys, values * (len(keys) // len(values)), strict=True))
    expected = {}
    for each in fields(Checkpoint):
        default = each.default
        if each.default_factory is not MISSING:
            default = each.default_factory()
        plain = "" if default is MISSING else json.dumps(default)
        is_word = isinstance(default, str) and default
        expected[each.name] = f"`{default}`" if is_word else plain
    assert told == expected
