"""Run asyncio tasks together, wait for them with a time limit, and end them without leaving any."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, overload

T = TypeVar("T")
U = TypeVar("U")


@overload
async def gather_or_cancel(first: Awaitable[T], second: Awaitable[U], /) -> tuple[T, U]: ...
@overload
async def gather_or_cancel(*awaitables: Awaitable[T]) -> Sequence[T]: ...
async def gather_or_cancel(*awaitables: Awaitable[Any]) -> Sequence[Any]:
    """
    Await all results; the first failure cancels the others before it is raised.

    Unlike with `asyncio.TaskGroup` and `asyncio.gather`, a cancellation is raised also if one of the
    awaitables fails because of it.
    """
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
        return [task.result() for task in tasks]
    finally:
        await cancel_and_wait(tasks)


async def map_or_cancel(
    function: Callable[[U], Awaitable[T]], items: Iterable[U], *, max_parallel: int
) -> Sequence[T]:
    """Call a function for each item, at most `max_parallel` at once; see `gather_or_cancel`."""
    slots = asyncio.Semaphore(max_parallel)

    async def call(item: U) -> T:
        async with slots:
            return await function(item)

    return await gather_or_cancel(*map(call, items))


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
