"""glane inside a FastAPI service of one's own: it answers, and takes new documents meanwhile.

Usage: pip install 'glane[serve]', then uvicorn examples.service:app; the index is the folder
GLANE_INDEX, `index` by default. `glane serve` does more (limits, security, metrics, a page); this
is for a service that has other things to do as well.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request

from glane import Search


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """Open the index before the first request; its files are mapped, and so are its models."""
    app.state.search = Search.load(os.environ.get("GLANE_INDEX", "index"))
    yield


app = FastAPI(lifespan=opened)


@app.get("/answers")
async def answers(request: Request, q: str, k: int = 5) -> list[dict[str, Any]]:
    """Return the documents that answer a question best; the search runs in a thread."""
    if not 1 <= k <= 100:
        raise HTTPException(422, "k must be from 1 to 100")
    search: Search = request.app.state.search
    found = await search.asearch([q], k)
    documents = search.documents(found.ids[0])
    return [
        {"score": score, "document": document}
        for score, document in zip(found.scores[0], documents, strict=True)
    ]


@app.put("/documents")
def store(request: Request, documents: list[dict[str, Any]]) -> dict[str, int]:
    """Store documents; who searches meanwhile sees the state before, or the one after."""
    search: Search = request.app.state.search
    try:
        with search.editing(wait=10) as writer:
            return {"stored": writer.add(documents)}
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
