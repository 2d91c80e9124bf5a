"""A function without a server, for any provider: one event in, one answer out.

The index lies in the bundle, beside this file or where GLANE_INDEX says. It is opened once, while
the function is set up. `glane_serve.function` is such a handler with the whole of `glane serve`'s
search; this one shows how little it takes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from glane import GlaneError, Search

SEARCH = Search.load(os.environ.get("GLANE_INDEX", Path(__file__).with_name("index")), threads=1)


def handler(event: dict[str, Any], _: object = None) -> dict[str, Any]:
    """Answer `{"query": ..., "k": ...}`; what cannot be asked is told with 400."""
    try:
        found = SEARCH.search([event["query"]], int(event.get("k", 5)))
    except (GlaneError, KeyError, TypeError, ValueError) as error:
        return {"status": 400, "error": str(error)}
    return {"status": 200, "hits": found.to_lists()[0]}
