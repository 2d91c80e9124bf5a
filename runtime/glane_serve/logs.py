"""The log: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

REQUEST = "request"
"""Name by which a record carries what is told of a request."""


class JsonLines(logging.Formatter):
    """Writes a record as JSON, in ASCII and on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, REQUEST, {}),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to_stderr() -> None:
    """Let everything from INFO on be written so, and uvicorn's own format of it be gone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
