"""
Exponential backoff: how long to wait before the next attempt after consecutive failures.

For tasks and connections that are tried for ever. A single call is retried with `stamina`.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

Delay = TypeVar("Delay", float, timedelta)

_MAX_DOUBLINGS = 20
_FIRST_RESTART_SECONDS, _MAX_RESTART_SECONDS = 1.0, 60.0

STABLE_AFTER_SECONDS = 60.0
"""How long a task or process runs until its earlier failures no longer count."""


def backoff_delay(failures: int, *, first: Delay, maximum: Delay) -> Delay:
    """
    Return the delay after a number of consecutive failures, at least 1.

    It is `first`, doubled with every further failure up to `maximum`; both are seconds or both are
    `timedelta`.
    """
    # Bounded, since a power of two overflows after a thousand failures.
    return min(first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), maximum)


async def restart_after_errors(
    work: Callable[[], Awaitable[None]],
    *,
    on_error: Callable[[Exception], object],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """
    Run `work` until it returns; if it raises, call `on_error` and run it again after 1 to 60 s.

    `clock` returns monotonic seconds.
    """
    failures = 0
    while True:
        started_at = clock()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - no data may end a process
            failures = 1 if clock() - started_at >= STABLE_AFTER_SECONDS else failures + 1
            on_error(error)
            await sleep(
                backoff_delay(failures, first=_FIRST_RESTART_SECONDS, maximum=_MAX_RESTART_SECONDS)
            )
        else:
            return
