"""
Background tasks of the api, which start after the migration and which no error may end.

`run_background_tasks` migrates the database and starts them. `Failures` counts consecutive failures of a
task, an owner or a banner; `keep_running` restarts a task that failed.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from github_banners.backoff import backoff_delay
from github_banners.database.connect import error_text, is_database_error
from github_banners.database.migrations import migrate
from github_banners.errors import BannersError, DatabaseUnavailable
from github_banners.log_throttle import LogThrottle

_log = structlog.get_logger(__name__)

_MAX_KEYS = 10_000
_FIRST_RETRY_DELAY = timedelta(seconds=1)
_MAX_RETRY_DELAY = timedelta(minutes=1)
STABLE_AFTER_SECONDS = 60.0
_FIRST_ATTEMPT_TIMEOUT_SECONDS = 10.0
_MIGRATE_RETRY_SECONDS = 1.0
_STOP_TIMEOUT_SECONDS = 2.0


class Failures:
    """
    Counts consecutive failures by key; each doubles the delay before the next attempt.

    The number of keys is bounded: the least recently failed key is dropped and starts over.
    """

    def __init__(
        self,
        *,
        first_delay: timedelta,
        max_delay: timedelta,
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
    failures = Failures(
        first_delay=_FIRST_RETRY_DELAY, max_delay=_MAX_RETRY_DELAY, monotonic=monotonic
    )
    while True:
        started_at = monotonic()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - no data may end a process
            if monotonic() - started_at >= STABLE_AFTER_SECONDS:
                failures.clear(name)
            pause = failures.record(name, error, event="background.failed", task=name)
            await sleep(pause.total_seconds())
        else:
            return


@asynccontextmanager
async def run_background_tasks(
    conninfo: str, work: Mapping[str, Callable[[], Awaitable[None]]]
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """
    Migrate the database, then run `work` as tasks; while the database is down they wait.

    Errors in data, of the database or of GitHub end none of these tasks.
    """
    attempted, ready = asyncio.Event(), asyncio.Event()
    migrating = migrate_until_ready(conninfo, attempted=attempted, ready=ready)
    tasks = [asyncio.create_task(migrating, name="migrate")]
    tasks += [
        asyncio.create_task(_run_after(ready, name, run), name=name) for name, run in work.items()
    ]
    try:
        await _wait_for_first_attempt(tasks[0], attempted)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_STOP_TIMEOUT_SECONDS)


async def _run_after(ready: asyncio.Event, name: str, work: Callable[[], Awaitable[None]]) -> None:
    await ready.wait()
    await keep_running(name, work)
    await asyncio.Event().wait()


async def _wait_for_first_attempt(migrating: asyncio.Task[None], attempted: asyncio.Event) -> None:
    """
    Wait until the first migration has succeeded or failed, but not for a server that is silent.

    Raises the error of a migration that ended for good.
    """
    first_attempt = asyncio.create_task(attempted.wait(), name="first attempt")
    try:
        await asyncio.wait(
            {migrating, first_attempt},
            timeout=_FIRST_ATTEMPT_TIMEOUT_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        first_attempt.cancel()
    if migrating.done():
        migrating.result()


async def migrate_until_ready(
    conninfo: str, *, attempted: asyncio.Event, ready: asyncio.Event
) -> None:
    """
    Migrate, then wait until cancelled.

    The first attempt raises errors that an operator must fix; later ones are logged and retried,
    because the service already answers by then.
    """
    throttle = LogThrottle(time.monotonic)
    while not ready.is_set():
        try:
            await migrate(conninfo, explain_login_errors=not attempted.is_set())
            ready.set()
        except DatabaseUnavailable as error:
            if not attempted.is_set():
                _log.warning("database.down_at_start", reason=str(error))
            attempted.set()
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
        except Exception as error:
            if not attempted.is_set():
                raise
            if throttle.allows(str(error)):
                _log.error("database.not_migrated", reason=error_text(error))
            await asyncio.sleep(_MIGRATE_RETRY_SECONDS)
    _log.info("database.migrated")
    attempted.set()
    await asyncio.Event().wait()
