"""Waiting for tasks: not for ever, and leaving none behind."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any


async def wait_with_timeout(
    timeout_seconds: float,
    coroutine: Coroutine[Any, Any, object],
    *,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Wait for something until it is done or so many seconds have passed."""
    tasks = [asyncio.create_task(coroutine), asyncio.ensure_future(sleep(timeout_seconds))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(tasks)


async def cancel_and_wait(tasks: "Collection[asyncio.Future[Any]]") -> None:
    """Cancel tasks and wait until they have ended, each as it may."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
