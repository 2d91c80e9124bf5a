"""What is told where a request is refused: one shape, which the clients of others know too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from glane.errors import GlaneError, LockedError

KINDS = {
    400: "Validation",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "Timeout",
    413: "Validation",
    415: "Validation",
    422: "Validation",
    424: "Backend",
    429: "Overloaded",
    503: "Unhealthy",
}
"""Names of errors by their status, those that text-embeddings-inference has where it has one."""


class Refused(Exception):
    """A request that is not done.

    Attributes:
        status: HTTP status.
        message: What was wrong, in one line.
        headers: That the answer has besides.
        kind: Name of the error; by default that of the status.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        kind: str | None = None,
    ) -> None:
        """Hold what is answered."""
        super().__init__(message)
        self.status = status
        self.message = " ".join(message.split())
        self.headers = dict(headers or {})
        self.kind = kind or KINDS.get(status, "Error")

    def told(self, request_id: str | None = None) -> dict[str, str]:
        """Return the body of the answer, with the request's id.

        TEI's clients read `error` and `error_type` of it, Cohere's `message`.
        """
        return {
            "error": self.message,
            "error_type": self.kind,
            "message": self.message,
            **({} if request_id is None else {"request_id": request_id}),
        }


@contextmanager
def asked() -> Iterator[None]:
    """Turn what the library says of wrong arguments into a refusal.

    Raises:
        Refused: With 422; with 503 where somebody else writes to the index.
    """
    try:
        yield
    except LockedError as error:
        raise Refused(503, str(error), {"Retry-After": "1"}) from error
    except GlaneError:
        raise
    except (TypeError, ValueError) as error:
        raise Refused(422, str(error)) from error
    except RecursionError as error:
        raise Refused(422, "what was asked is nested too deeply") from error
