"""Waiting for tasks: not for ever, and leaving none behind."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any


async def wait_at_most(
    seconds: float,
    waiting: Coroutine[Any, Any, object],
    *,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Wait for something until it is done or so many seconds have passed."""
    tasks = [asyncio.create_task(waiting), asyncio.ensure_future(sleep(seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(tasks)


async def cancel(tasks: "Collection[asyncio.Future[Any]]") -> None:
    """Cancel tasks and wait until they have ended, each as it may."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
