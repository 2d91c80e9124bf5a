"""Reading JSON as it is defined: UTF-8, finite numbers, not nested beyond reason."""

from __future__ import annotations

import json
import math
from typing import Any

from glane_serve.refusals import Refused


def parse(body: bytes) -> Any:  # noqa: ANN401 (parsed JSON)
    """Return what bytes of JSON say.

    Raises:
        Refused: With 400, if they are no JSON in UTF-8, or have a number that is not finite.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8: {error}") from None
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond the range of numbers")
    return number
