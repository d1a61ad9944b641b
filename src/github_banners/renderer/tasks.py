"""Wait for asyncio tasks with a time limit, and end them without leaving any behind."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any


async def wait_with_timeout(
    timeout_seconds: float,
    coroutine: Coroutine[Any, Any, object],
    *,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Wait until a coroutine ends or the timeout has passed, then cancel it."""
    # Not `asyncio.timeout`: it reads the event loop's clock, which tests can't move.
    tasks = [asyncio.create_task(coroutine), asyncio.ensure_future(sleep(timeout_seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(tasks)


async def cancel_and_wait(tasks: "Collection[asyncio.Future[Any]]") -> None:
    """Cancel tasks and wait until all have ended; their errors are ignored."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
