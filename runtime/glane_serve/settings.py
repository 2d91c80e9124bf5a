"""What a server is told once, when it starts; workers read it from their environment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import Self

from glane.threads import available_threads

VARIABLE = "GLANE_SERVE"
"""Of the environment: the settings, for the processes of workers."""

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is refused with a status of 4xx.

    Attributes:
        body: Bytes of a request's body.
        queries: Queries of one request.
        query: Characters of one query.
        texts: Texts to rerank, or documents to write, in one request.
        inputs: Texts to encode in one request.
        text: Characters of one text.
        k: Hits asked for, of all queries, those that are passed over included.
        explained: Hits that are explained in one answer.
        filter: Characters of a filter.
        concurrent: Requests at work or waiting at once, beyond which others are told to come again.
        seconds: Time that a request may take.
        sending: Seconds that a client may take to send its request.
        connections: Connections open at once; more are closed as they come.
    """

    body: int = 8 * MEBIBYTE
    queries: int = 64
    query: int = 10_000
    texts: int = 1000
    inputs: int = 32
    text: int = 1_000_000
    k: int = 1000
    explained: int = 100
    filter: int = 10_000
    concurrent: int = 256
    seconds: float = 30.0
    sending: float = 10.0
    connections: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What is served, and how.

    Attributes:
        index: Folder of the index; None where a model alone is served.
        model: Folder of a model that reranks or encodes texts; None for the index's own.
        host: Name that it listens to, besides those of this machine, where there is no token.
        token: What a client must send as `Authorization: Bearer`; None asks for nothing.
        read_only: Whether nothing can be written.
        origins: Whose pages may ask from a browser, besides the server's own.
        threads: Requests that compute at once, in one thread each.
        refresh: Seconds between looks for a newer state of the index.
        limits: What is refused.
    """

    index: str | None = None
    model: str | None = None
    host: str = "localhost"
    token: str | None = None
    read_only: bool = False
    origins: tuple[str, ...] = ()
    threads: int = field(default_factory=available_threads)
    refresh: float = 1.0
    limits: Limits = field(default_factory=Limits)

    def to_environment(self) -> None:
        """Leave the settings to the processes that this one starts."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Self:
        """Read what `to_environment` left."""
        record = json.loads(os.environ[VARIABLE])
        known = {each.name for each in fields(cls)} & record.keys()
        values = {name: record[name] for name in known}
        limits = Limits(**values.pop("limits"))
        return cls(**{**values, "origins": tuple(values["origins"])}, limits=limits)
