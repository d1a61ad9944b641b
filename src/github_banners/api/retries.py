"""
Retries with backoff for background tasks, which no error may end.

`Failures` counts consecutive failures of a task, an owner or a banner. `run_batches` runs the batches
of a task for ever, and `keep_running` restarts a task that failed.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, TypeAlias

import structlog

from github_banners.backoff import backoff_delay, restart_after_errors
from github_banners.database.connect import error_text, is_database_error
from github_banners.errors import BannersError, DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

_log = structlog.get_logger(__name__)

_MAX_KEYS = 10_000

TraceBatch: TypeAlias = Callable[[int], AbstractContextManager[object]]
"""Records a batch of that size while its context lasts."""


def untraced(size: int) -> AbstractContextManager[object]:
    """Record nothing."""
    return nullcontext()


class Failures:
    """
    Counts consecutive failures by key; each doubles the delay before the next attempt.

    The number of keys is bounded: the least recently failed key is dropped and starts over.
    """

    def __init__(
        self,
        *,
        first_delay: timedelta = timedelta(seconds=1),
        max_delay: timedelta = timedelta(minutes=1),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_delay = first_delay
        self._max_delay = max_delay
        self._throttle = LogThrottle(monotonic)
        self._counts: OrderedDict[Hashable, int] = OrderedDict()

    def record(
        self, key: Hashable, error: BaseException, *, event: str, **fields: Any
    ) -> timedelta:
        """Log a failure, at most once an hour per key and reason; return the delay of a retry."""
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        self._counts.move_to_end(key)
        if len(self._counts) > _MAX_KEYS:
            self._counts.popitem(last=False)
        reason = error_text(error)
        if self._throttle.allows((event, key, reason)):
            is_explained = isinstance(error, BannersError) or is_database_error(error)
            traceback = {} if is_explained else {"exc_info": error}
            _log.error(event, **fields, reason=reason, **traceback)
        return backoff_delay(count, first=self._first_delay, maximum=self._max_delay)

    def clear(self, key: Hashable) -> None:
        """Reset the count of a key after a success."""
        self._counts.pop(key, None)


async def run_batches(
    batch: Callable[[], Awaitable[int]],
    *,
    event: str,
    failures: Failures,
    pause_seconds: Callable[[int], float],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """
    Run batches for ever; `pause_seconds` returns the pause after a batch of that size.

    A batch counts as empty if it fails; unless the database is down, that is logged as `event` and
    the pauses grow.
    """
    while True:
        try:
            size = await batch()
            failures.clear(event)
        except DatabaseUnavailable:
            size = 0
        except Exception as error:  # noqa: BLE001 - no data may end a task
            size = 0
            await sleep(failures.record(event, error, event=event).total_seconds())
        if pause := pause_seconds(size):
            await sleep(pause)


async def keep_running(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Run `work` until it returns; if it raises, log the error and run it again after a delay."""
    failures = Failures(monotonic=monotonic)
    await restart_after_errors(
        work,
        on_error=lambda error: failures.record(name, error, event="background.failed", task=name),
        clock=monotonic,
        sleep=sleep,
    )
