"""Time limits for asynchronous work that a busy machine extends."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

_STEP_SECONDS = 0.01


async def finish_within(work: Awaitable[T], *, seconds: float) -> T:
    """
    Await work that ends before many short timers of the same event loop, which add up to a limit.

    On a busy machine each of them is late, so the limit grows with the time that the work needs there.
    """
    task = asyncio.ensure_future(work)
    for _ in range(round(seconds / _STEP_SECONDS)):
        if not task.done():
            await asyncio.wait({task}, timeout=_STEP_SECONDS)
    assert task.done(), f"not finished within {seconds:g} s"
    return await task
