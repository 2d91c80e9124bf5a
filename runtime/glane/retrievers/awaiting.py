"""Lets a call that computes be awaited: it runs in a thread, and the event loop goes on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")


def awaitable(
    call: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Return a method that is awaited, of one that is called, for the same arguments.

    It runs in the pool of `asyncio.to_thread`. Who is cancelled while waiting stops waiting at
    once; the thread cannot be stopped, and goes on to its end. What it was to change is then
    changed, whole, as if it had been waited for, and what it found is dropped.

    Args:
        call: The method; a subclass's own is taken where there is one.
    """
    name = call.__name__

    @wraps(call)
    async def waited(self: S, /, *arguments: P.args, **named: P.kwargs) -> T:
        import asyncio  # late: who awaits nothing does without it

        bound: Callable[P, T] = getattr(self, name)
        return await asyncio.to_thread(bound, *arguments, **named)

    waited.__name__ = f"a{name}"
    waited.__qualname__ = waited.__qualname__.replace(name, waited.__name__)
    waited.__doc__ = f"Await `{name}`, which runs in a thread.\n\n{waited.__doc__ or ''}"
    return waited
